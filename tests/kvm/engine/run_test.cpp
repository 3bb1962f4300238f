// Whole runs of the guest under a real KVM: every entry, every event, and the same trace twice.
#include "vmm/engine/runner.hpp"

#include <cstdlib>
#include <gtest/gtest.h>

#include "guest/abi/state.hpp"
#include "tests/kvm/fixture.hpp"

namespace stackrig::engine {
namespace {

constexpr CpuId cpu0{0};

class Recorder final : public Observer {
  public:
    bool at_stop(const Stop& stop) override {
        if (const auto* mark = std::get_if<MarkStop>(&stop.cause)) {
            ++marks[mark->mark];
        }
        if (const auto* landed = std::get_if<LandedStop>(&stop.cause)) {
            landings.push_back(*landed);
        }
        ++stops;
        return true;
    }
    bool at_expect(std::size_t, const Stop&) override { return true; }

    std::map<abi::Mark, unsigned> marks;
    std::vector<LandedStop> landings;
    unsigned stops = 0;
};

std::string guest_path() {
    const char* path = std::getenv("STACKRIG_GUEST");
    return path != nullptr ? path : "guest.elf";
}

class RunTest : public test::KvmTest {
  protected:
    void SetUp() override {
        test::KvmTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) {
            return;
        }
        auto loaded = x86::Elf::load(guest_path());
        ASSERT_TRUE(loaded) << loaded.error().text;
        guest = std::move(*loaded);
    }
    RunOutcome run_plan(const RunPlan& plan, Observer& observer) {
        auto outcome = run(system(), *guest, plan, observer, {});
        EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().text);
        return outcome ? *outcome : RunOutcome{.end = RunEnd::broken};
    }
    static abi::Op call(abi::Sys number, abi::Via via = abi::Via::syscall64, std::uint32_t arg = 0, std::uint32_t depth = 0) {
        return {abi::OpKind::call, number, via, arg, depth, 0};
    }
    static abi::Op op(abi::OpKind kind) { return {kind, abi::Sys::null, abi::Via::syscall64, 0, 0, 0}; }
    static Step until(Place place, std::optional<ThreadIndex> thread = ThreadIndex{0}) {
        place.thread = thread;
        place.text = "a place";
        return {RunUntil{thread, place}, "run until"};
    }
    static Step to_quiet() { return {RunToQuiet{}, "run"}; }
    static Step event(EventKind kind, std::variant<CpuId, ThreadIndex> target, std::uint8_t vector = 0) {
        Event e{.kind = kind, .vector = Vector(vector), .text = "event"};
        return {Inject{e, target}, "inject"};
    }

    std::optional<x86::Elf> guest;
};

TEST_F(RunTest, EveryEntryOfAUserThreadComesBackAndTheThreadEnds) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {call(abi::Sys::null), call(abi::Sys::null, abi::Via::int80),
                                              call(abi::Sys::null, abi::Via::syscall32), op(abi::OpKind::touch),
                                              op(abi::OpKind::int3), op(abi::OpKind::step), op(abi::OpKind::ud2),
                                              op(abi::OpKind::gp), op(abi::OpKind::de),
                                              call(abi::Sys::null, abi::Via::syscall64, 0, 12288)}}};
    plan.schedule = {until({.kind = Place::Kind::exits}), to_quiet()};
    Recorder seen;
    const RunOutcome outcome = run_plan(plan, seen);
    EXPECT_EQ(outcome.end, RunEnd::finished) << outcome.detail;
    EXPECT_EQ(seen.marks[abi::Mark::syscall], 5u) << "null four times, and exit";
    EXPECT_EQ(seen.marks[abi::Mark::handler_begin], 6u) << "#PF #BP #DB #UD #GP #DE";
    EXPECT_EQ(seen.marks[abi::Mark::signal], 3u);
    EXPECT_EQ(seen.marks[abi::Mark::canary_bad], 0u);
    EXPECT_EQ(seen.marks[abi::Mark::enter_done], 11u);
    EXPECT_EQ(seen.marks[abi::Mark::exit_done], 11u) << "one first return more, one exit less";
}

TEST_F(RunTest, EventsOnACpuLandExactlyInUserAndKernelMode) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {call(abi::Sys::null), op(abi::OpKind::spin)}}};
    const Place user{.kind = Place::Kind::user};
    const Place in_call{.kind = Place::Kind::mark, .mark = abi::Mark::syscall};
    plan.schedule = {until(in_call)};
    const std::vector<std::pair<EventKind, std::uint8_t>> kernel_events = {
        {EventKind::irq, abi::timer_vector}, {EventKind::irq, abi::device_vector}, {EventKind::nmi, 0},
        {EventKind::machine_check, 0},       {EventKind::debug, 0},                {EventKind::int3, 0},
        {EventKind::invalid_op, 0}};
    const Place end{.kind = Place::Kind::mark, .mark = abi::Mark::handler_end};
    for (const auto& [kind, vector] : kernel_events) {
        plan.schedule.push_back(event(kind, cpu0, vector));
        plan.schedule.push_back(until(end));
        // Past the IRET, so that the next event finds the interrupted context again.
        plan.schedule.push_back(until({.kind = Place::Kind::mark, .mark = abi::Mark::exit_begin}));
        plan.schedule.push_back(until(user));
        plan.schedule.push_back({Inject{Event{.kind = EventKind::call, .call = call(abi::Sys::null), .text = "syscall"}, ThreadIndex{0}}, "inject"});
        plan.schedule.push_back(until(in_call));
    }
    plan.schedule.push_back(until(user));
    for (const auto& [kind, vector] : std::vector<std::pair<EventKind, std::uint8_t>>{
             {EventKind::irq, abi::timer_vector}, {EventKind::irq, abi::device_vector}, {EventKind::nmi, 0}, {EventKind::machine_check, 0}}) {
        plan.schedule.push_back(event(kind, cpu0, vector));
        plan.schedule.push_back(until(user));
    }
    Recorder seen;
    const RunOutcome outcome = run_plan(plan, seen);
    EXPECT_EQ(outcome.end, RunEnd::finished) << outcome.detail << " in step " << outcome.step;
    EXPECT_EQ(seen.landings.size(), 2 * kernel_events.size() + 4);
    for (const LandedStop& landed : seen.landings) {
        EXPECT_TRUE(landed.exact) << static_cast<int>(landed.entry) << ": " << landed.detail;
    }
}

TEST_F(RunTest, AThreadCanBeSteeredIntoEveryStub) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {op(abi::OpKind::spin)}}};
    plan.schedule = {until({.kind = Place::Kind::user})};
    for (const EventKind kind : {EventKind::debug, EventKind::int3, EventKind::page_fault, EventKind::general_protection, EventKind::invalid_op}) {
        plan.schedule.push_back(event(kind, ThreadIndex{0}));
        plan.schedule.push_back(until({.kind = Place::Kind::user}));
    }
    for (const abi::Via via : {abi::Via::syscall64, abi::Via::syscall32, abi::Via::int80}) {
        plan.schedule.push_back({Inject{Event{.kind = EventKind::call, .call = call(abi::Sys::null, via, 0, 64), .text = "call"}, ThreadIndex{0}}, "inject"});
        plan.schedule.push_back(until({.kind = Place::Kind::user}));
    }
    Recorder seen;
    const RunOutcome outcome = run_plan(plan, seen);
    EXPECT_EQ(outcome.end, RunEnd::finished) << outcome.detail << " in step " << outcome.step;
    EXPECT_EQ(seen.landings.size(), 8u);
    for (const LandedStop& landed : seen.landings) {
        EXPECT_TRUE(landed.exact) << static_cast<int>(landed.entry) << ": " << landed.detail;
    }
}

TEST_F(RunTest, TheSamePlanGivesTheSameTrace) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {call(abi::Sys::lock), call(abi::Sys::yield), call(abi::Sys::unlock)}},
                    {.name = "B", .program = {call(abi::Sys::lock), call(abi::Sys::unlock)}}};
    plan.schedule = {to_quiet()};
    Recorder first;
    Recorder second;
    const RunOutcome one = run_plan(plan, first);
    const RunOutcome two = run_plan(plan, second);
    EXPECT_EQ(one.end, RunEnd::finished) << one.detail;
    EXPECT_EQ(one.trace_hash, two.trace_hash);
    EXPECT_EQ(one.stops, two.stops);
    EXPECT_EQ(first.marks[abi::Mark::sleep], 1u) << "B must have waited for A's mutex";
    plan.threads[0].program.push_back(call(abi::Sys::null));
    Recorder other;
    EXPECT_NE(run_plan(plan, other).trace_hash, one.trace_hash) << "another program is another trace";
}

TEST_F(RunTest, AnIrqWaitsForTheCpuToTakeIt) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {call(abi::Sys::null), op(abi::OpKind::spin)}}};
    plan.schedule = {until({.kind = Place::Kind::mark, .mark = abi::Mark::enter_begin}), event(EventKind::irq, cpu0, abi::device_vector),
                     until({.kind = Place::Kind::mark, .mark = abi::Mark::irq_on})};
    Recorder seen;
    const RunOutcome outcome = run_plan(plan, seen);
    EXPECT_EQ(outcome.end, RunEnd::finished) << outcome.detail;
    ASSERT_EQ(seen.landings.size(), 1u) << "taken between STI and the next mark, not before";
    EXPECT_TRUE(seen.landings[0].exact) << seen.landings[0].detail;
}

TEST_F(RunTest, AnUnreachablePlaceIsSaidNotWaitedFor) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {op(abi::OpKind::spin)}}};
    plan.schedule = {until({.kind = Place::Kind::sleeps})};
    Recorder seen;
    const RunOutcome outcome = run_plan(plan, seen);
    EXPECT_EQ(outcome.end, RunEnd::unreachable);
    EXPECT_NE(outcome.detail.find("spins"), std::string::npos) << outcome.detail;
}

TEST_F(RunTest, TheBudgetEndsARunAsBudget) {
    RunPlan plan;
    plan.max_stops = 20;
    plan.threads = {{.name = "A", .program = {call(abi::Sys::null), call(abi::Sys::null), call(abi::Sys::null)}}};
    plan.schedule = {to_quiet()};
    Recorder seen;
    EXPECT_EQ(run_plan(plan, seen).end, RunEnd::budget);
}

}  // namespace
}  // namespace stackrig::engine
