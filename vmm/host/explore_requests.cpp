// Sweeps, replays and shrinking, asked for over the stream.
#include "vmm/host/explore_requests.hpp"

#include <fmt/format.h>

#include "vmm/explore/replay.hpp"
#include "vmm/report/sweep.hpp"
#include "vmm/scenario/sentence.hpp"

namespace stackrig::host {
namespace {

const char* name_of(explore::Showing::How how) {
    using How = explore::Showing::How;
    switch (how) {
        case How::clean:
        case How::rejoined: return "clean";
        case How::failed: return "failed";
        case How::off_schedule: return "off schedule";
        case How::incomplete: return "incomplete";
        case How::late: return "late";
    }
    return "?";
}

/// The optional keys of `replay`: {"trace": true, "ticks": true}.
explore::Tracing tracing_of(const Json& request) {
    using explore::Tracing;
    return !request.value("trace", false) ? Tracing::none : request.value("ticks", false) ? Tracing::stops_and_ticks : Tracing::stops;
}

}  // namespace

Json to_json(const engine::SweepPlan& plan) {
    Json events = Json::array();
    for (const engine::Event& event : plan.events) {
        events.push_back(event.text);
    }
    if (plan.allocations) {
        events.push_back("alloc");
    }
    return {{"events", events}, {"at", plan.functions}, {"user", plan.user_mode},
            {"pairs", scenario::word_for(plan.pairs)}};
}

engine::SweepPlan sweep_plan_from(const Json& json) {
    engine::SweepPlan plan;
    for (const auto& word : json.at("events")) {
        if (auto event = scenario::sweep_event(word.get<std::string>())) {
            plan.events.push_back(std::move(*event));
        } else {
            plan.allocations = plan.allocations || word == "alloc";
        }
    }
    json.at("at").get_to(plan.functions);
    json.at("user").get_to(plan.user_mode);
    plan.pairs = scenario::pairs_from(json.value("pairs", "none")).value_or(engine::Pairs::none);
    return plan;
}

bool ExploreRequests::knows(const std::string& what) { return what == "sweep" || what == "sample" || what == "replay" || what == "shrink"; }

Result<Json> ExploreRequests::answer(const Json& request, const explore::Bench& bench, scenario::Scenario scenario) {
    const std::string what = request.value("do", "");
    if (what == "sweep" || what == "sample") {
        return sweep(request, bench, std::move(scenario));
    }
    return what == "replay" ? replay(request, bench, scenario) : shrink(bench, scenario);
}

Result<Json> ExploreRequests::sweep(const Json& request, const explore::Bench& bench, scenario::Scenario scenario) {
    const std::string key = request.at("text").get<std::string>() + request.value("variant", "") + request.at("plan").dump();
    if (!sweep_ || key != key_) {
        sweep_.reset();
        key_ = key;
        scenario_ = std::make_unique<scenario::Scenario>(std::move(scenario));
        explore::SweepChecks checks;
        checks.verify_restores = request.value("verify", false);
        STACKRIG_TRY_ASSIGN(sweep_, explore::Sweep::prepare(bench, *scenario_, sweep_plan_from(request.at("plan")), checks));
    }
    if (request.at("do") == "sample") {
        STACKRIG_TRY_ASSIGN(const explore::SweepResult sampled,
                            sweep_->sample(request.at("seed").get<std::uint64_t>(), request.at("runs").get<std::uint64_t>()));
        return report::to_json(sampled);
    }
    STACKRIG_TRY_ASSIGN(const explore::SweepResult result,
                        sweep_->run(request.at("first").get<std::uint64_t>(), request.at("count").get<std::uint64_t>()));
    return report::to_json(result);
}

Result<Json> ExploreRequests::replay(const Json& request, const explore::Bench& bench, const scenario::Scenario& scenario) {
    const auto times = request.value("times", std::uint64_t{1});
    STACKRIG_TRY_ASSIGN(const explore::Replayed first, explore::replay(bench, scenario, tracing_of(request)));
    std::uint64_t same = 1;
    for (std::uint64_t i = 1; i < times; ++i) {
        STACKRIG_TRY_ASSIGN(const explore::Replayed again, explore::replay(bench, scenario));
        same += again.trace_hash == first.trace_hash && again.stops == first.stops && again.shown.key() == first.shown.key() ? 1 : 0;
    }
    Json trace = Json::array();
    for (const explore::TraceLine& line : first.trace) {
        trace.push_back({{"stop", line.stop}, {"registers", line.registers}});
    }
    return Json{{"how", name_of(first.shown.how)}, {"finding", report::to_json(first.shown.finding.value_or(explore::Finding{}))}, {"runs", times}, {"same", same},
                {"stops", first.stops}, {"trace_hash", fmt::format("{:016x}", first.trace_hash)}, {"not_reached", first.not_reached},
                {"trace", trace}};
}

Result<Json> ExploreRequests::shrink(const explore::Bench& bench, const scenario::Scenario& scenario) {
    STACKRIG_TRY_ASSIGN(const explore::Shrunk shrunk, explore::shrink(bench, scenario));
    const explore::GuestSymbols symbols(bench.guest);
    const scenario::Names names = scenario::names_of(scenario, symbols);
    Json decisions = Json::array();
    for (const engine::Decision& decision : shrunk.decisions) {
        decisions.push_back(scenario::render(decision, names));
    }
    return Json{{"decisions", decisions}, {"runs", shrunk.runs}, {"finding", report::to_json(shrunk.shown.shown.finding.value_or(explore::Finding{}))},
                {"stops", shrunk.shown.stops}, {"trace_hash", fmt::format("{:016x}", shrunk.shown.trace_hash)}};
}

}  // namespace stackrig::host
