// What a run showed, against what was expected of it.
#include "vmm/explore/verdict.hpp"

#include <fmt/format.h>

namespace stackrig::explore {
namespace {

using engine::RunEnd;

/// The end of a run that the observer did not decide.
Judged judge_stop(const engine::RunOutcome& outcome, const scenario::Scenario& scenario) {
    const auto in_step = [&] {
        return outcome.step < scenario.plan.schedule.size()
                   ? fmt::format(" (step {}, \"{}\")", outcome.step + 1, scenario.plan.schedule[outcome.step].text)
                   : std::string();
    };
    switch (outcome.end) {
        case RunEnd::unreachable:
        case RunEnd::undeliverable: return {Verdict::error, outcome.detail + in_step(), true};
        case RunEnd::budget: return {Verdict::incomplete, outcome.detail + ". Raise max_stops in [run], or shorten the schedule"};
        case RunEnd::stuck: return {Verdict::timeout, outcome.detail + in_step()};
        case RunEnd::deadlocked: return {Verdict::fail, outcome.detail + in_step()};
        case RunEnd::panic: return {Verdict::fail, outcome.detail + in_step()};
        case RunEnd::broken: return {Verdict::error, "the guest broke down: " + outcome.detail + in_step()};
        default: return {Verdict::pass, ""};
    }
}

Showing failed(const char* verdict, std::string text, const engine::RunOutcome& outcome, const Watch& watch) {
    Finding finding{.verdict = verdict, .text = std::move(text), .trace_hash = outcome.trace_hash};
    const ViolationReport* const violation = watch.ended_by();
    for (const ViolationReport& other : watch.violations()) {
        if (&other != violation) {
            finding.also.push_back(other.id);
        }
    }
    if (violation == nullptr) {
        finding.where = watch.where();
        finding.picture = watch.picture({}, false);
    } else {
        finding.id = violation->id;
        finding.object = object_class(violation->object);
        finding.text = violation->text;
        finding.where = violation->where;
        finding.picture = violation->picture;
    }
    return {Showing::How::failed, std::move(finding)};
}

}  // namespace

Showing what_it_shows(const engine::RunOutcome& outcome, const Watch& watch) {
    if (watch.expected_seen() || !watch.failure().empty()) {
        return failed(watch.ended_by() == nullptr ? "predicate" : "violation", watch.failure(), outcome, watch);
    }
    switch (outcome.end) {
        case RunEnd::panic: return failed("panic", outcome.detail, outcome, watch);
        case RunEnd::broken: return failed("broken", outcome.detail, outcome, watch);
        case RunEnd::stuck: return failed("stuck", outcome.detail, outcome, watch);
        case RunEnd::deadlocked: return failed("deadlock", outcome.detail, outcome, watch);
        case RunEnd::budget: return {Showing::How::incomplete, Finding{.text = outcome.detail}};
        case RunEnd::unreachable:
        case RunEnd::undeliverable: return {Showing::How::off_schedule, Finding{.text = outcome.detail}};
        default: break;
    }
    if (const auto broken = watch.finally_broken()) {
        return failed("predicate", *broken, outcome, watch);
    }
    return {};
}

Judged judge_end(const engine::RunOutcome& outcome, const Watch& watch, const scenario::Scenario& scenario) {
    if (!watch.failure().empty() || watch.expected_seen()) {
        return {Verdict::fail, watch.failure().empty() ? fmt::format("{} is violated", scenario.expect.violation) : watch.failure()};
    }
    if (const auto broken = watch.finally_broken(); broken && outcome.end == RunEnd::finished) {
        return {Verdict::fail, *broken};
    }
    return judge_stop(outcome, scenario);
}

Judged judge(const engine::RunOutcome& outcome, const Watch& watch, const scenario::Scenario& scenario) {
    for (const engine::EventReport& event : outcome.events) {
        if (!event.exact) {
            return {Verdict::error, fmt::format("{} did not hit the boundary it was meant for: {}", event.event, event.detail)};
        }
    }
    if (!watch.failure().empty()) {
        return {Verdict::fail, watch.failure()};
    }
    if (!watch.expected_seen()) {
        if (const Judged end = judge_stop(outcome, scenario); end.verdict != Verdict::pass) {
            return end;
        }
        if (!scenario.expect.pass()) {
            return {Verdict::xpass, fmt::format("{} was expected to be violated and was not", scenario.expect.violation)};
        }
        if (const auto broken = watch.finally_broken()) {
            return {Verdict::fail, *broken};
        }
    }
    for (const std::string& id : scenario.expect.also) {
        if (!watch.has_fired(id)) {
            return {Verdict::xpass, fmt::format("{} was to be violated on the way to {} and was not", id, scenario.expect.violation)};
        }
    }
    if (const auto unmet = watch.never_true()) {
        return {Verdict::vacuous, fmt::format("\"{}\" was never true: the run did not get where the scenario wants to look", *unmet)};
    }
    return {scenario.expect.pass() ? Verdict::pass : Verdict::expected_violation, ""};
}

}  // namespace stackrig::explore
