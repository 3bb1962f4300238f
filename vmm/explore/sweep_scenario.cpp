// The verdict on a whole sweep.
#include "vmm/explore/sweep_scenario.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "vmm/explore/sweep.hpp"

namespace stackrig::explore {
namespace {

Cell total_of(const SweepResult& sweep) {
    Cell total;
    for (const auto& [function, cells] : sweep.coverage) {
        for (const auto& [event, cell] : cells) {
            total.add(cell);
        }
    }
    return total;
}

Judged judge_sweep(const SweepResult& sweep, const scenario::Expectation& expect) {
    const auto expected = [&](const Finding& f) {
        return (!expect.pass() && f.id == expect.violation) || std::find(expect.also.begin(), expect.also.end(), f.id) != expect.also.end();
    };
    const auto other = std::find_if_not(sweep.findings.begin(), sweep.findings.end(), expected);
    if (other != sweep.findings.end()) {
        return {Verdict::fail, fmt::format("{} {} by \"{}\": {}", other->verdict, other->id, other->decisions.front(), other->text)};
    }
    const Cell total = total_of(sweep);
    if (total.incomplete > 0) {
        return {Verdict::incomplete, fmt::format("{} placements ran out of their budget of stops. Raise max_stops in [run]", total.incomplete)};
    }
    if (total.host_skipped > 0) {
        return {Verdict::incomplete, fmt::format("{} placements were not delivered exactly where they were meant to be, on this host. ./rig doctor shows what it can do; --host virtual is another one", total.host_skipped)};
    }
    if (!sweep.all_met) {
        return {Verdict::vacuous, fmt::format("\"{}\" was never true in any run: the sweep did not get where the scenario wants to look", sweep.unmet)};
    }
    if (total.executed == 0) {
        return {Verdict::vacuous, "no placement could be executed: the window holds none that is applicable. Name other functions in `at`, or other events"};
    }
    const bool seen = std::any_of(sweep.findings.begin(), sweep.findings.end(), [&](const Finding& f) { return f.id == expect.violation; });
    if (!expect.pass() && !seen) {
        return {Verdict::xpass, fmt::format("{} was expected to be found and was not, by any placement", expect.violation)};
    }
    return {expect.pass() ? Verdict::pass : Verdict::expected_violation, ""};
}

}  // namespace

ScenarioResult sweep_result(const scenario::Scenario& scenario, SweepResult sweep) {
    ScenarioResult result{.file = scenario.file, .name = scenario.title(), .why = scenario.why, .claims = scenario.claims,
                          .hazards = scenario.hazards, .reading = scenario.reading, .expected_id = scenario.expect.violation};
    auto [verdict, reason, unrunnable] = judge_sweep(sweep, scenario.expect);
    result.verdict = verdict;
    result.reason = std::move(reason);
    result.unrunnable = unrunnable;
    for (const Finding& finding : sweep.findings) {
        result.violations.push_back({finding.id.empty() ? finding.verdict : finding.id, finding.object, finding.text, finding.where,
                                     fmt::format("{}", fmt::join(finding.decisions, "; ")), 0, finding.picture});
    }
    result.stops = sweep.stops;
    result.seconds = sweep.trunk_seconds + sweep.seconds;
    result.sweep = std::move(sweep);
    return result;
}

Result<ScenarioResult> run_sweep(const Bench& bench, const scenario::Scenario& scenario) {
    STACKRIG_TRY_ASSIGN(const auto sweep, Sweep::prepare(bench, scenario, *scenario.sweep, {}));
    STACKRIG_TRY_ASSIGN(SweepResult swept, sweep->run(0, sweep->boundaries()));
    ScenarioResult result = sweep_result(scenario, std::move(swept));
    const Watch& watch = sweep->trunk().watch();
    for (const oracle::Invariant& invariant : oracle::catalogue()) {
        const oracle::ExaminedCount count = watch.oracle().examined(invariant.inv);
        if (count.evaluated > 0) {
            result.examined.push_back({std::string(invariant.id), count.evaluated, count.applicable});
        }
    }
    result.stops += sweep->trunk().outcome().stops;
    result.trace_hash = sweep->trunk().outcome().trace_hash;
    return result;
}

}  // namespace stackrig::explore
