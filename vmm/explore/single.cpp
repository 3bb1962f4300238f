// From a finished run to a verdict.
#include "vmm/explore/single.hpp"

#include <chrono>
#include <fmt/format.h>

#include "guest/abi/layout.hpp"
#include "vmm/engine/runner.hpp"
#include "vmm/explore/sweep_scenario.hpp"
#include "vmm/explore/verdict.hpp"
#include "vmm/explore/watch.hpp"

namespace stackrig::explore {
namespace {

using engine::RunEnd;

void fill_in(ScenarioResult& result, const engine::RunOutcome& outcome, const Watch& watch, const scenario::Scenario& scenario,
             const Symbolise& symbolise) {
    result.violations = watch.violations();
    for (const engine::EventReport& event : outcome.events) {
        result.landings.push_back({event.event, symbolise(event.boundary), event.exact, event.detail, event.boundary.value(), {}});
    }
    for (const oracle::Invariant& invariant : oracle::catalogue()) {
        const oracle::ExaminedCount count = watch.oracle().examined(invariant.inv);
        if (count.evaluated > 0) {
            result.examined.push_back({std::string(invariant.id), count.evaluated, count.applicable});
        }
    }
    for (const oracle::DepthSample& depth : watch.oracle().depths()) {
        result.depths.push_back({abi::entry_class(depth.entry).name, oracle::name_of(depth.window), depth.max_bytes, depth.samples});
    }
    for (const oracle::Violation& note : watch.oracle().notes()) {
        result.notes.push_back(fmt::format("{} at stop {}: {}", note.id, note.stop, note.text));
    }
    result.console = outcome.console;
    for (const engine::Step& step : scenario.plan.schedule) {
        result.steps.push_back(step.text);
    }
    result.stops = outcome.stops;
    result.last_step = outcome.step;
    result.line = line_of(scenario, outcome.step);
    result.trace_hash = outcome.trace_hash;
}

std::optional<std::string> missing_capability(const Bench& bench, const scenario::Scenario& scenario) {
    for (const std::string& name : scenario.capabilities) {
        if (!bench.capabilities.contains(name)) {
            return name;
        }
    }
    return std::nullopt;
}

}  // namespace

Result<Gpa> kernel_state(const x86::Elf& guest) {
    const auto symbol = guest.find("kernel_state");
    if (!symbol) {
        return fail(ErrorKind::usage, fmt::format("{} has no symbol kernel_state: it is no guest of this rig; `ninja -C build` builds one", guest.path()));
    }
    return Gpa(symbol->value() - abi::kernel_map_base);
}

Result<ScenarioResult> run_scenario(const Bench& bench, const scenario::Scenario& scenario, Recording recording) {
    ScenarioResult result{.file = scenario.file, .name = scenario.title(), .why = scenario.why, .claims = scenario.claims,
                          .hazards = scenario.hazards, .reading = scenario.reading, .expected_id = scenario.expect.violation};
    if (const auto missing = missing_capability(bench, scenario)) {
        result.verdict = Verdict::skip;
        result.reason = fmt::format("this host lacks {}; ./rig doctor shows what it can do", *missing);
        return result;
    }
    if (scenario.sweep) {
        return run_sweep(bench, scenario);
    }
    const GuestSymbols symbols(bench.guest);
    const scenario::Names names = scenario::names_of(scenario, symbols);
    const Symbolise symbolise = [&](Gva address) { return bench.guest.describe(address); };
    STACKRIG_TRY_ASSIGN(const Gpa state, kernel_state(bench.guest));
    Watch watch(scenario, names, state, symbolise);
    watch.record(recording.moments);
    const auto start = std::chrono::steady_clock::now();
    STACKRIG_TRY_ASSIGN(const engine::RunOutcome outcome, engine::run(bench.system, bench.guest, scenario.plan, watch, {}));
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fill_in(result, outcome, watch, scenario, symbolise);
    auto [verdict, reason, unrunnable] = judge(outcome, watch, scenario);
    result.verdict = verdict;
    result.reason = std::move(reason);
    result.unrunnable = unrunnable;
    if (!as_expected(result.verdict) && result.violations.empty()) {
        result.ending = fmt::format("at {}\n{}", watch.where(), watch.picture({}, true));
    }
    if (recording.passes_too || result.verdict != Verdict::pass) {
        result.timeline = watch.take_timeline();
    }
    return result;
}

Result<std::string> look_at(const Bench& bench, const scenario::Scenario& scenario, const engine::Place& place) {
    const GuestSymbols symbols(bench.guest);
    const scenario::Names names = scenario::names_of(scenario, symbols);
    const Symbolise symbolise = [&](Gva address) { return bench.guest.describe(address); };
    STACKRIG_TRY_ASSIGN(const Gpa state, kernel_state(bench.guest));
    Watch watch(scenario, names, state, symbolise);
    std::string picture;
    const auto draw = [&] { picture = watch.picture({}, true); };
    STACKRIG_TRY_ASSIGN(const engine::RunOutcome outcome,
                        engine::run(bench.system, bench.guest, scenario.plan, watch, {.look_at = place, .at_end = draw}));
    if (outcome.end != RunEnd::looked && place.kind != engine::Place::Kind::end) {
        const std::string why = watch.failure().empty() ? outcome.detail : watch.failure();
        return fail(ErrorKind::usage, fmt::format("\"{}\" was not reached: the run of {} ended after {} stops in step {}{}{}. The place \"end\" "
                                                  "shows where",
                                                  place.text, scenario.name, outcome.stops, outcome.step + 1, why.empty() ? "" : ": ", why));
    }
    const std::string step = outcome.step < scenario.plan.schedule.size() ? scenario.plan.schedule[outcome.step].text : "";
    return fmt::format("{}, stop {}, in step {} (\"{}\")\n{}", scenario.name, outcome.stops, outcome.step + 1, step, picture);
}

}  // namespace stackrig::explore
