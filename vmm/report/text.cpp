// Text reports.
#include "vmm/report/text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace stackrig::report {
namespace {

using explore::ScenarioResult;
using explore::Verdict;

constexpr std::size_t columns = 72;

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

std::string status_word(const ScenarioResult& r) {
    if (r.verdict == Verdict::skip) {
        return "skip";
    }
    return explore::as_expected(r.verdict) ? "ok" : "NOT OK";
}

std::uint64_t examined_total(const std::vector<ScenarioResult>& results) {
    std::uint64_t total = 0;
    for (const ScenarioResult& r : results) {
        for (const explore::Examined& e : r.examined) {
            total += e.applicable;
        }
    }
    return total;
}

}  // namespace

std::string variant_of(const ScenarioResult& r) {
    const auto at = r.name.find('[');
    return at == std::string::npos || !r.name.ends_with("]") ? "" : r.name.substr(at + 1, r.name.size() - at - 2);
}

std::string verdict_text(const ScenarioResult& r) {
    if (r.verdict == Verdict::expected_violation) {
        return fmt::format("{} violated, as expected", r.expected_id);
    }
    return explore::name_of(r.verdict);
}

std::string wrap(const std::string& text, std::size_t width, std::size_t indent) {
    std::string out;
    std::string line;
    const std::string margin(indent, ' ');
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find_first_of(" \n", at), text.size());
        const std::string word = text.substr(at, end - at);
        at = end + 1;
        if (!line.empty() && indent + line.size() + 1 + word.size() > width) {
            out += margin + line + "\n";
            line.clear();
        }
        line += (line.empty() || word.empty() ? "" : " ") + word;
    }
    return line.empty() ? out : out + margin + line + "\n";
}

std::string result_line(const ScenarioResult& r, const Paint& paint) {
    const std::string status = fmt::format("{:<7}", status_word(r));
    const bool fine = explore::as_expected(r.verdict);
    const std::string line = fmt::format("{}{:<34} {:<12} {:>5} stops  {}", fine ? paint.good(status) : paint.bad(status), r.name, joined(r.claims),
                                         r.stops, fine ? verdict_text(r) : paint.bad(verdict_text(r)));
    return r.verdict == Verdict::skip ? line + "\n" + wrap(r.reason, columns, status.size()) : line;
}

std::string summary(const std::vector<ScenarioResult>& results) {
    std::map<Verdict, std::size_t> counts;
    for (const ScenarioResult& r : results) {
        ++counts[r.verdict];
    }
    std::vector<std::string> parts;
    for (const auto& [verdict, count] : counts) {
        parts.push_back(fmt::format("{} {}", count, explore::name_of(verdict)));
    }
    std::uint64_t stops = 0;
    for (const ScenarioResult& r : results) {
        stops += r.stops;
    }
    const std::uint64_t examined = examined_total(results);  // nothing is known of what the workers of a sweep examined
    return fmt::format("{} scenario{}: {}\n", results.size(), results.size() == 1 ? "" : "s", fmt::join(parts, ", ")) +
           wrap(fmt::format("{} stops{}. A pass supports the scheme in this model kernel, for the events, places and CPUs that the "
                            "scenarios name, with sequentially consistent memory; it says nothing about other schedules.",
                            stops, examined == 0 ? "" : fmt::format("; {} times an invariant had something to examine", examined)),
                columns, 0);
}

int exit_code(const std::vector<ScenarioResult>& results) {
    bool all_skipped = !results.empty();
    bool rig_error = false;
    bool unrunnable = false;
    bool violation = false;
    for (const ScenarioResult& r : results) {
        all_skipped = all_skipped && r.verdict == Verdict::skip;
        rig_error = rig_error || (r.verdict == Verdict::error && !r.unrunnable) || r.verdict == Verdict::timeout;
        unrunnable = unrunnable || r.unrunnable;
        violation = violation || (!explore::as_expected(r.verdict) && r.verdict != Verdict::skip);
    }
    if (all_skipped) {
        return 77;
    }
    return rig_error ? 3 : unrunnable ? 2 : violation ? 1 : 0;
}

}  // namespace stackrig::report
