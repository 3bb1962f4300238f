// JUnit XML. Unexpected verdicts about the scheme are failures; a run that could not judge it is an error.
#include "vmm/report/junit.hpp"

#include <fmt/format.h>
#include <map>

#include "vmm/report/clean.hpp"
#include "vmm/report/failure.hpp"

namespace stackrig::report {
namespace {

using explore::ScenarioResult;
using explore::Verdict;

enum class Outcome { good, failure, error, skipped };

Outcome outcome_of(Verdict verdict) {
    switch (verdict) {
        case Verdict::pass:
        case Verdict::expected_violation: return Outcome::good;
        case Verdict::fail:
        case Verdict::xpass: return Outcome::failure;
        case Verdict::skip: return Outcome::skipped;
        case Verdict::vacuous:
        case Verdict::incomplete:
        case Verdict::timeout:
        case Verdict::error: return Outcome::error;
    }
    return Outcome::error;
}

struct Totals {
    std::size_t tests = 0;
    std::size_t failures = 0;
    std::size_t errors = 0;
    std::size_t skipped = 0;
    double seconds = 0;

    void add(const ScenarioResult& r) {
        const Outcome outcome = outcome_of(r.verdict);
        ++tests;
        failures += outcome == Outcome::failure ? 1 : 0;
        errors += outcome == Outcome::error ? 1 : 0;
        skipped += outcome == Outcome::skipped ? 1 : 0;
        seconds += r.seconds;
    }
    [[nodiscard]] std::string attributes() const {
        return fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3f}\"", tests, failures, errors,
                           skipped, seconds);
    }
};

std::string folder_of(const std::string& file) {
    const std::size_t slash = file.rfind('/');
    return slash == std::string::npos ? "." : file.substr(0, slash);
}

/// "scenarios.seed": readers show it as a package.
std::string class_name(const std::string& folder) {
    std::string name = folder;
    for (char& c : name) {
        c = c == '/' ? '.' : c;
    }
    return name;
}

std::string finding(const ScenarioResult& r, std::string_view element) {
    const std::string message = r.reason.empty() ? explore::name_of(r.verdict) : r.reason;
    return fmt::format("      <{0} message=\"{1}\" type=\"{2}\">{3}</{0}>\n", element, xml(one_line(message)),
                       explore::name_of(r.verdict), xml(result_details(r)));
}

std::string test_case(const ScenarioResult& r, const std::string& folder) {
    std::string out = fmt::format("    <testcase name=\"{}\" classname=\"{}\" time=\"{:.3f}\" file=\"{}\" line=\"{}\"",
                                  xml(one_line(r.name)), xml(one_line(class_name(folder))), r.seconds, xml(one_line(r.file)), r.line);
    switch (outcome_of(r.verdict)) {
        case Outcome::good:
            if (r.violations.empty()) {
                return out + "/>\n";
            }
            // A violation that was asked for is worth reading, too.
            return out + fmt::format(">\n      <system-out>{}</system-out>\n    </testcase>\n", xml(result_details(r)));
        case Outcome::skipped:
            return out + fmt::format(">\n      <skipped message=\"{}\"/>\n    </testcase>\n", xml(one_line(r.reason)));
        case Outcome::failure: return out + ">\n" + finding(r, "failure") + "    </testcase>\n";
        case Outcome::error: return out + ">\n" + finding(r, "error") + "    </testcase>\n";
    }
    return out;
}

std::string property(std::string_view name, const std::string& value) {
    return fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", name, xml(one_line(value)));
}

}  // namespace

std::string junit(const RunInfo& info, const std::vector<ScenarioResult>& results) {
    std::map<std::string, std::vector<const ScenarioResult*>> suites;
    Totals all;
    for (const ScenarioResult& r : results) {
        suites[folder_of(r.file)].push_back(&r);
        all.add(r);
    }
    std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    out += fmt::format("<testsuites name=\"stackrig\" {} timestamp=\"{}\">\n", all.attributes(), xml(info.started));
    for (const auto& [folder, members] : suites) {
        Totals totals;
        for (const ScenarioResult* r : members) {
            totals.add(*r);
        }
        out += fmt::format("  <testsuite name=\"{}\" {} timestamp=\"{}\" hostname=\"{}\">\n    <properties>\n",
                           xml(one_line(folder)), totals.attributes(), xml(info.started), xml(one_line(info.machine)));
        out += property("host", info.host) + property("guest_build", info.guest_build) + "    </properties>\n";
        for (const ScenarioResult* r : members) {
            out += test_case(*r, folder);
        }
        out += "  </testsuite>\n";
    }
    return out + "</testsuites>\n";
}

}  // namespace stackrig::report
