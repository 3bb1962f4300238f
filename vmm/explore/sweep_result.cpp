// Adding up parts of a sweep.
#include "vmm/explore/sweep_result.hpp"

#include <algorithm>
#include <cctype>

namespace stackrig::explore {
namespace {

using Boundaries = std::map<std::string, std::vector<std::uint64_t>>;

Boundaries together(Boundaries a, const Boundaries& b) {
    for (const auto& [row, boundaries] : b) {
        std::vector<std::uint64_t>& all = a[row];
        all.insert(all.end(), boundaries.begin(), boundaries.end());
        std::sort(all.begin(), all.end());
        all.erase(std::unique(all.begin(), all.end()), all.end());
    }
    return a;
}

}  // namespace

void Cell::add(const Cell& other) {
    executed += other.executed;
    rejoined += other.rejoined;
    off_schedule += other.off_schedule;
    incomplete += other.incomplete;
    host_skipped += other.host_skipped;
    for (const auto& [reason, count] : other.not_applicable) {
        not_applicable[reason] += count;
    }
    for (const auto& [rule, count] : other.pruned) {
        pruned[rule] += count;
    }
}

std::uint64_t Cell::placements() const {
    std::uint64_t all = executed + incomplete + host_skipped;
    for (const auto* counts : {&not_applicable, &pruned}) {
        for (const auto& [why, count] : *counts) {
            all += count;
        }
    }
    return all;
}

void add(Coverage& to, const Coverage& what) {
    for (const auto& [function, cells] : what) {
        for (const auto& [event, cell] : cells) {
            to[function][event].add(cell);
        }
    }
}

void SweepResult::add(const SweepResult& other) {
    boundaries = std::max(boundaries, other.boundaries);
    allocations = std::max(allocations, other.allocations);
    count += other.count;
    runs += other.runs;
    foreseen += other.foreseen;
    unproved += other.unproved;
    stops += other.stops;
    seconds += other.seconds;
    trunk_seconds = std::max(trunk_seconds, other.trunk_seconds);
    all_met = all_met || other.all_met;
    unmet = all_met ? "" : other.unmet;
    explore::add(coverage, other.coverage);
    map.add(other.map);
    for (const Finding& finding : other.findings) {
        const auto known = std::find_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.key() == finding.key(); });
        if (known == findings.end()) {
            findings.push_back(finding);
            continue;
        }
        const std::uint64_t total = known->count + finding.count;
        auto seen_at = together(known->seen_at, finding.seen_at);
        if (finding.boundary < known->boundary) {
            *known = finding;  // whoever was first must not depend on how the work was shared out
        }
        known->count = total;
        known->seen_at = std::move(seen_at);
    }
    std::sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) { return a.boundary < b.boundary; });
}

std::string object_class(const std::string& object) {
    std::string out;
    for (std::size_t i = 0; i < object.size(); ++i) {
        const bool number = object.compare(i, 2, "0x") == 0;
        if (!number) {
            out += object[i];
            continue;
        }
        out += '#';
        for (i += 2; i < object.size() && std::isxdigit(static_cast<unsigned char>(object[i])) != 0; ++i) {
        }
        --i;
    }
    return out;
}

}  // namespace stackrig::explore
