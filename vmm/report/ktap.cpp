// KTAP: diagnostics come before the result line, descriptions hold no '#', other outcomes than ok and SKIP are ERROR.
#include "vmm/report/ktap.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <sstream>

#include "vmm/report/clean.hpp"
#include "vmm/report/failure.hpp"

namespace stackrig::report {
namespace {

using explore::Verdict;

std::string description(const std::string& raw) {
    std::string text = one_line(raw);
    std::replace(text.begin(), text.end(), '#', '_');
    return text;
}

std::string directive(const explore::ScenarioResult& r) {
    switch (r.verdict) {
        case Verdict::pass:
        case Verdict::fail: return "";
        case Verdict::expected_violation: return " # XFAIL " + description(r.expected_id);
        case Verdict::skip: return " # SKIP " + description(r.reason);
        case Verdict::timeout: return " # TIMEOUT";
        default: return fmt::format(" # ERROR {}: {}", explore::name_of(r.verdict), description(r.reason));
    }
}

std::string diagnostics(const std::string& text) {
    std::istringstream lines(clean(text));
    std::string out;
    for (std::string line; std::getline(lines, line);) {
        out += "# " + line + "\n";
    }
    return out;
}

}  // namespace

std::string ktap_header(std::size_t scenarios) { return fmt::format("KTAP version 1\n1..{}\n", scenarios); }

std::string ktap_result(std::size_t number, const explore::ScenarioResult& r) {
    const bool ok = explore::as_expected(r.verdict) || r.verdict == Verdict::skip;
    return (ok ? std::string() : diagnostics(result_details(r))) +
           fmt::format("{} {} - {}{}\n", ok ? "ok" : "not ok", number, description(r.name), directive(r));
}

}  // namespace stackrig::report
