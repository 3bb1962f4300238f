// `check`, `list`, `explain`: what can be said without running a guest.
#include <algorithm>
#include <fmt/format.h>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/common.hpp"
#include "vmm/oracle/catalogue.hpp"
#include "vmm/oracle/claims.hpp"
#include "vmm/oracle/hazards.hpp"
#include "vmm/report/jsonl.hpp"
#include "vmm/report/scenario_schema.hpp"
#include "vmm/report/text.hpp"
#include "vmm/scenario/nearest.hpp"

namespace stackrig::cli {
namespace {

report::Json to_json(const scenario::Diagnostic& d) {
    return {{"file", d.file}, {"line", d.line}, {"column", d.column}, {"length", d.length}, {"text", d.text}, {"hint", d.hint}, {"source", d.source_line}};
}

std::string expectation(const scenario::Scenario& s) { return s.expect.pass() ? "pass" : s.expect.violation; }

/// "scenarios/a.toml", or "scenarios/a.toml[proposed]" for a variant of it.
std::string place_of(const CheckedSource& s) {
    return s.scenario.variant.empty() ? s.source.file : fmt::format("{}[{}]", s.source.file, s.scenario.variant);
}

void list_scenarios(const std::vector<CheckedSource>& sources) {
    for (const CheckedSource& source : sources) {
        fmt::print("{:<44} {:<9} {:<14} {}\n", place_of(source), fmt::format("{}", fmt::join(source.scenario.claims, " ")), expectation(source.scenario),
                   fmt::join(source.scenario.hazards, " "));
    }
}

void list_claims(const std::vector<CheckedSource>& sources) {
    for (const oracle::Claim& claim : oracle::claims()) {
        fmt::print("{}  {}\n", claim.id, claim.statement);
        fmt::print("{}", report::wrap(fmt::format("\"{}\"", claim.sentence), 72, 6));
        for (const CheckedSource& source : sources) {
            const auto& claims = source.scenario.claims;
            if (std::find(claims.begin(), claims.end(), claim.id) != claims.end()) {
                fmt::print("      {} (expects {})\n", place_of(source), expectation(source.scenario));
            }
        }
    }
}

void list_hazards(const std::vector<CheckedSource>& sources) {
    for (const oracle::Hazard& hazard : oracle::hazards()) {
        fmt::print("{:<7} {}\n", hazard.id, hazard.title);
        std::size_t count = 0;
        for (const CheckedSource& source : sources) {
            const auto& hazards = source.scenario.hazards;
            if (std::find(hazards.begin(), hazards.end(), hazard.id) != hazards.end()) {
                fmt::print("        {} (expects {})\n", place_of(source), expectation(source.scenario));
                ++count;
            }
        }
        if (count == 0) {
            fmt::print("{}", report::wrap(hazard.outside.empty() ? "no scenario here" : std::string(hazard.outside), 72, 8));
        }
    }
}

std::vector<std::string> all_ids() {
    std::vector<std::string> ids;
    for (const auto& invariant : oracle::catalogue()) {
        ids.emplace_back(invariant.id);
    }
    for (const auto& claim : oracle::claims()) {
        ids.emplace_back(claim.id);
    }
    for (const auto& hazard : oracle::hazards()) {
        ids.emplace_back(hazard.id);
    }
    return ids;
}

bool tests(const scenario::Scenario& s, std::string_view id) {
    const auto& also = s.expect.also;
    return s.expect.violation == id || std::find(also.begin(), also.end(), id) != also.end() ||
           std::find(s.claims.begin(), s.claims.end(), id) != s.claims.end() || std::find(s.hazards.begin(), s.hazards.end(), id) != s.hazards.end();
}

}  // namespace

int check(const std::vector<std::string>& paths, bool json) {
    auto checked = check_sources(paths);
    if (!checked) {
        return report(checked.error());
    }
    if (json) {
        report::Json out{{"v", 1}, {"scenarios", checked->good.size()}, {"problems", report::Json::array()}};
        for (const scenario::Diagnostic& d : checked->problems) {
            out["problems"].push_back(to_json(d));
        }
        fmt::print("{}", report::json_line(out));
    } else if (checked->problems.empty()) {
        fmt::print("{} scenario{} checked, no problem found\n", checked->good.size(), checked->good.size() == 1 ? "" : "s");
    } else {
        fmt::print("{}", scenario::render(checked->problems));
    }
    return checked->problems.empty() ? 0 : exit_usage;
}

int list(const std::vector<std::string>& paths, const std::string& what) {
    if (what == "invariants") {
        for (const oracle::Invariant& invariant : oracle::catalogue()) {
            fmt::print("{:<8} {}\n", invariant.id, invariant.title);
        }
        return 0;
    }
    auto checked = check_sources(paths);
    if (!checked) {
        return report(checked.error());
    }
    what == "claims" ? list_claims(checked->good) : what == "hazards" ? list_hazards(checked->good) : list_scenarios(checked->good);
    if (!checked->problems.empty()) {
        fmt::print(stderr, "{}", scenario::render(checked->problems));
        return exit_usage;
    }
    return 0;
}

int list_schema() {
    fmt::print("{}\n", report::scenario_json_schema().dump(2));
    return 0;
}

int list_verbs() {
    fmt::print("{}", report::scenario_words());
    return 0;
}

int explain(const std::string& id, const std::string& scenarios) {
    std::string upper = id;
    std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    auto text = oracle::explain(upper);
    for (const oracle::Claim& claim : oracle::claims()) {
        if (claim.id == upper) {
            text = fmt::format("{}: {}\n{}", claim.id, claim.statement,
                               report::wrap(fmt::format("\"{}\" ({})", claim.sentence, claim.source), 72, 2));
        }
    }
    for (const oracle::Hazard& hazard : oracle::hazards()) {
        std::string hazard_id(hazard.id);
        std::transform(hazard_id.begin(), hazard_id.end(), hazard_id.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        if (hazard_id == upper) {
            upper = hazard.id;  // as scenarios spell it: HZ-A3b
            text = fmt::format("{}: {}\n{}", hazard.id, hazard.title, report::wrap(std::string(hazard.outside), 72, 2));
            break;
        }
    }
    if (!text) {
        return report({ErrorKind::usage, fmt::format("{} is none of the invariants, claims or hazards; {}", id,
                                                     scenario::id_suggestion(upper, all_ids(), "./rig list with one of these words names them"))});
    }
    fmt::print("{}", *text);
    auto checked = check_sources({scenarios});
    if (!checked) {
        return report(checked.error());
    }
    fmt::print("\nScenarios that name it:\n");
    std::size_t count = 0;
    for (const CheckedSource& source : checked->good) {
        if (tests(source.scenario, upper)) {
            fmt::print("  {} (expects {})\n", place_of(source), expectation(source.scenario));
            ++count;
        }
    }
    if (count == 0) {
        const bool invariant = oracle::explain(upper).has_value();
        fmt::print("  none\n{}", invariant ? "An invariant is examined in every run all the same.\n" : "");
    }
    return 0;
}

}  // namespace stackrig::cli
