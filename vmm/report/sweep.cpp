// Coverage tables and findings.
#include "vmm/report/sweep.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "vmm/explore/trunk.hpp"
#include "vmm/report/text.hpp"

namespace stackrig::report {
namespace {

using explore::Cell;
using explore::Finding;
using explore::SweepResult;

constexpr std::size_t width = 72;

Cell cell_from_json(const Json& json) {
    Cell cell;
    json.at("executed").get_to(cell.executed);
    json.at("rejoined").get_to(cell.rejoined);
    json.at("off_schedule").get_to(cell.off_schedule);
    json.at("incomplete").get_to(cell.incomplete);
    json.at("host_skipped").get_to(cell.host_skipped);
    json.at("na").get_to(cell.not_applicable);
    json.at("pruned").get_to(cell.pruned);
    return cell;
}

std::uint64_t sum(const std::map<std::string, std::uint64_t>& counts) {
    std::uint64_t all = 0;
    for (const auto& [what, count] : counts) {
        all += count;
    }
    return all;
}

std::map<std::string, Cell> by_event(const SweepResult& result) {
    std::map<std::string, Cell> totals;
    for (const auto& [function, cells] : result.coverage) {
        for (const auto& [event, cell] : cells) {
            totals[event].add(cell);
        }
    }
    return totals;
}

std::string event_rows(const std::map<std::string, Cell>& totals) {
    std::size_t wide = 10;
    for (const auto& [event, cell] : totals) {
        wide = std::max(wide, event.size());
    }
    std::string out = fmt::format("  {:<{}} {:>8} {:>9} {:>8} {:>7} {:>7} {:>8}\n", "event", wide, "executed", "rejoined", "cut off", "n/a", "skipped",
                                  "left");
    for (const auto& [event, cell] : totals) {
        if (cell.placements() == 0) {
            continue;  // of what is pruned before it is put anywhere, the rule says all
        }
        out += fmt::format("  {:<{}} {:>8} {:>9} {:>8} {:>7} {:>7} {:>8}\n", event, wide, cell.executed, cell.rejoined, cell.off_schedule,
                           sum(cell.not_applicable), cell.host_skipped, cell.incomplete);
    }
    return out;
}

/// `what` beside `head`, as many lines as it takes.
std::string beside(const std::string& head, const std::string& what) { return head + wrap(what, width, head.size()).substr(head.size()); }

std::string reasons(const std::map<std::string, Cell>& totals) {
    std::string out;
    for (const auto& [event, cell] : totals) {
        for (const auto& [reason, count] : cell.not_applicable) {
            out += beside(fmt::format("  n/a      {:>7}  {:<8} ", count, event), reason);
        }
        for (const auto& [rule, count] : cell.pruned) {
            out += beside(fmt::format("  pruned   {:>7}  {:<8} ", count, event), rule);
        }
    }
    return out;
}

/// Functions in which something applicable was not executed.
std::string gaps(const SweepResult& result) {
    std::string out;
    for (const auto& [function, cells] : result.coverage) {
        for (const auto& [event, cell] : cells) {
            if (cell.host_skipped + cell.incomplete > 0) {
                out += wrap(fmt::format("not executed: {} of {} in {} ({} skipped by the host, {} out of budget)", cell.host_skipped + cell.incomplete,
                                        event, function, cell.host_skipped, cell.incomplete),
                            width, 2);
            }
        }
    }
    return out;
}

}  // namespace

Json to_json(const Cell& cell) {
    return {{"executed", cell.executed}, {"rejoined", cell.rejoined}, {"off_schedule", cell.off_schedule},
            {"incomplete", cell.incomplete}, {"host_skipped", cell.host_skipped}, {"na", cell.not_applicable}, {"pruned", cell.pruned}};
}

Json to_json(const Finding& f) {
    return {{"verdict", f.verdict}, {"invariant", f.id}, {"object", f.object}, {"also", f.also}, {"text", f.text}, {"where", f.where},
            {"picture", f.picture}, {"decisions", f.decisions}, {"trace_hash", fmt::format("{:016x}", f.trace_hash)},
            {"count", f.count}, {"boundary", f.boundary}, {"seen_at", f.seen_at}, {"file", f.file}};
}

Finding finding_from_json(const Json& json) {
    Finding f;
    json.at("verdict").get_to(f.verdict);
    json.at("invariant").get_to(f.id);
    json.at("object").get_to(f.object);
    json.at("also").get_to(f.also);
    json.at("text").get_to(f.text);
    json.at("where").get_to(f.where);
    json.at("picture").get_to(f.picture);
    json.at("decisions").get_to(f.decisions);
    f.trace_hash = std::stoull(json.at("trace_hash").get<std::string>(), nullptr, 16);
    json.at("count").get_to(f.count);
    json.at("boundary").get_to(f.boundary);
    json.at("seen_at").get_to(f.seen_at);
    json.at("file").get_to(f.file);
    return f;
}

Json to_json(const SweepResult& r) {
    Json coverage = Json::object();
    for (const auto& [function, cells] : r.coverage) {
        for (const auto& [event, cell] : cells) {
            coverage[function][event] = to_json(cell);
        }
    }
    Json findings = Json::array();
    for (const Finding& finding : r.findings) {
        findings.push_back(to_json(finding));
    }
    return {{"boundaries", r.boundaries}, {"first", r.first}, {"count", r.count}, {"runs", r.runs}, {"foreseen", r.foreseen}, {"unproved", r.unproved}, {"stops", r.stops},
            {"allocations", r.allocations}, {"coverage", coverage}, {"places", r.map.places()}, {"map", r.map.rows()}, {"findings", findings},
            {"unmet", r.unmet}, {"all_met", r.all_met}, {"ignored", explore::Trunk::ignored()},
            {"trunk_seconds", r.trunk_seconds}, {"seconds", r.seconds}};
}

Result<SweepResult> sweep_from_json(const Json& json) try {
    SweepResult r;
    json.at("boundaries").get_to(r.boundaries);
    json.at("first").get_to(r.first);
    json.at("count").get_to(r.count);
    json.at("runs").get_to(r.runs);
    json.at("foreseen").get_to(r.foreseen);
    json.at("unproved").get_to(r.unproved);
    json.at("stops").get_to(r.stops);
    json.at("allocations").get_to(r.allocations);
    json.at("unmet").get_to(r.unmet);
    json.at("all_met").get_to(r.all_met);
    json.at("trunk_seconds").get_to(r.trunk_seconds);
    json.at("seconds").get_to(r.seconds);
    for (const auto& [function, cells] : json.at("coverage").items()) {
        for (const auto& [event, cell] : cells.items()) {
            r.coverage[function][event] = cell_from_json(cell);
        }
    }
    r.map = explore::SweepMap(r.first);
    r.map.set(json.at("places"), json.at("map"));
    for (const Json& finding : json.at("findings")) {
        r.findings.push_back(finding_from_json(finding));
    }
    return r;
} catch (const std::exception& e) {
    return fail(ErrorKind::rig, fmt::format("a part of a sweep cannot be read: {}", e.what()));
}

double executed_percent(const SweepResult& result) {
    std::uint64_t executed = 0;
    std::uint64_t missed = 0;
    for (const auto& [event, cell] : by_event(result)) {
        executed += cell.executed;
        missed += cell.host_skipped + cell.incomplete;
    }
    return executed + missed == 0 ? 100 : 100.0 * static_cast<double>(executed) / static_cast<double>(executed + missed);
}

std::string coverage_statement(const SweepResult& result) {
    const auto totals = by_event(result);
    std::string out = wrap(fmt::format("Covered: {} of {} boundaries of the run, {} function{}, {} runs, {} stops judged", result.count,
                                       result.boundaries, result.coverage.size(), result.coverage.size() == 1 ? "" : "s", result.runs, result.stops),
                           width, 0);
    out += event_rows(totals) + reasons(totals) + gaps(result);
    for (const auto& [event, cell] : totals) {
        if (cell.placements() > 0 && cell.placements() == sum(cell.not_applicable)) {
            out += wrap(fmt::format("{} was applicable nowhere here: nothing is said about it.", event), width, 2);
        }
    }
    out += wrap(fmt::format("{:.1f} % of the applicable placements were executed{}.", executed_percent(result),
                            result.count == result.boundaries ? "" : "; INCOMPLETE: not every boundary was swept"),
                width, 2);
    const bool pairs = std::any_of(totals.begin(), totals.end(), [](const auto& row) { return row.first.find(", then ") != std::string::npos; });
    const std::string meaning = fmt::format("These are {} on the path that the scenario takes without any event, in the guest's kernel and user code, "
                                      "with sequentially consistent memory. {} events, other paths and other programs are not covered. A branch "
                                      "that stands where the trunk stood is taken for the trunk's future; left out of that comparison: {}.",
                                      pairs ? "all single placements and the ordered pairs that are not pruned, the first of each" : "all single placements",
                                      pairs ? "Three or more" : "Two or more", fmt::join(explore::Trunk::ignored(), "; "));
    return out + wrap(meaning, width, 2);
}

std::string finding_text(const Finding& finding) {
    std::string out = fmt::format("{}{}{}{}\n", finding.verdict, finding.id.empty() ? "" : " " + finding.id,
                                  finding.object.empty() ? "" : ": " + finding.object,
                                  finding.count > 1 ? fmt::format("  ({} placements)", finding.count) : "");
    out += wrap(finding.text, width, 2) + wrap("at " + finding.where, width, 2);
    if (!finding.also.empty()) {
        out += wrap(fmt::format("on the way to it: {}", fmt::join(finding.also, ", ")), width, 2);
    }
    for (const std::string& decision : finding.decisions) {
        out += wrap("decision: " + decision, width, 2);
    }
    return out;
}

}  // namespace stackrig::report
