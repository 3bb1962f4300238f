// Workflow commands (docs.github.com, "Workflow commands for GitHub Actions") and Markdown.
#include "vmm/report/github.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "vmm/report/clean.hpp"
#include "vmm/report/failure.hpp"
#include "vmm/report/claims.hpp"
#include "vmm/report/text.hpp"

namespace stackrig::report {
namespace {

using explore::ScenarioResult;
using explore::Verdict;

constexpr std::size_t annotations_of_a_kind = 10;
constexpr std::size_t longest_summary = 1u << 20;

/// The data part of a workflow command; properties need ':' and ',' escaped as well.
std::string escaped(const std::string& text, bool property) {
    std::string out;
    for (const char c : clean(text)) {
        const bool special = c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ','));
        out += special ? fmt::format("%{:02X}", static_cast<unsigned>(c)) : std::string(1, c);
    }
    return out;
}

bool is_finding(const ScenarioResult& r) { return r.verdict == Verdict::fail || r.verdict == Verdict::xpass; }

/// What makes two annotations the same finding.
std::string key_of(const ScenarioResult& r) {
    return r.violations.empty() ? r.file : fmt::format("{} {}", explore::name_of(r.verdict), r.violations.back().id);
}

std::string annotation(const ScenarioResult& r) {
    const std::string id = r.violations.empty() ? explore::name_of(r.verdict) : r.violations.back().id;
    return fmt::format("::{} file={},line={},title={}::{}\n", is_finding(r) ? "error" : "warning", escaped(r.file, true), r.line,
                       escaped(id + ": " + r.name, true),
                       escaped((r.reason.empty() ? explore::name_of(r.verdict) : r.reason) + "\n" + replay_command(r), false));
}

/// A fence longer than any run of backticks inside.
std::string fenced(const std::string& text) {
    std::size_t longest = 0;
    std::size_t run = 0;
    for (const char c : text) {
        run = c == '`' ? run + 1 : 0;
        longest = std::max(longest, run);
    }
    const std::string fence(std::max<std::size_t>(3, longest + 1), '`');
    return fence + "text\n" + clean(text) + fence + "\n";
}

}  // namespace

std::string github_annotations(const std::vector<ScenarioResult>& results) {
    std::string out;
    std::set<std::string> seen;
    std::size_t errors = 0;
    std::size_t warnings = 0;
    std::size_t left_out = 0;
    for (const ScenarioResult& r : results) {
        if (explore::as_expected(r.verdict) || r.verdict == Verdict::skip) {
            continue;
        }
        std::size_t& count = is_finding(r) ? errors : warnings;
        if (count == annotations_of_a_kind || !seen.insert(key_of(r)).second) {
            ++left_out;
            continue;
        }
        ++count;
        out += annotation(r);
    }
    if (left_out > 0) {
        out += fmt::format("::notice title=stackrig::{} more not as expected: the same violations again, or beyond what is shown "
                           "here; the log has them all\n",
                           left_out);
    }
    return out;
}

std::string github_summary(const RunInfo& info, const std::vector<ScenarioResult>& results) {
    std::string out = "## stackrig\n\n" + fenced(info.host + "\n\n" + summary(results) + "\n" + claims_table(results));
    const std::string end = "\n(More failures than this page can hold: the log and the reports have them all.)\n";
    for (const ScenarioResult& r : results) {
        if (explore::as_expected(r.verdict) || r.verdict == Verdict::skip) {
            continue;
        }
        const std::string block = "\n<details><summary>" + xml(one_line(r.name)) + ": " + explore::name_of(r.verdict) +
                                  "</summary>\n\n" + fenced(result_details(r)) + "\n</details>\n";
        if (out.size() + block.size() + end.size() > longest_summary) {
            return out + end;
        }
        out += block;
    }
    return out;
}

}  // namespace stackrig::report
