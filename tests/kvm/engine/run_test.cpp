// Whole runs of the guest under a real KVM: every entry, every event, and the same trace twice.
#include "vmm/engine/runner.hpp"

#include <gtest/gtest.h>

#include "tests/kvm/engine/run.hpp"
#include "vmm/x86/decode.hpp"

namespace stackrig::engine {
namespace {

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

TEST_F(RunTest, FourCpusAnd256ThreadsFitInto16MiB) {
    std::uint64_t image = 0;
    for (const x86::ElfSegment& segment : guest->segments()) {
        image += segment.memory_bytes;
    }
    EXPECT_LT(image, 1u << 20);
    RunPlan plan;
    plan.guest.cpus = 4;
    plan.guest.ram_bytes = 16u << 20;
    plan.guest.crowd = 248;  // with four idle threads and those below: 256
    for (std::uint32_t cpu = 0; cpu < 4; ++cpu) {
        plan.threads.push_back({.name = std::string(1, static_cast<char>('A' + cpu)), .cpu = CpuId(cpu),
                                .program = {call(abi::Sys::null, abi::Via::syscall64, 0, 12288), op(abi::OpKind::end)}});
    }
    plan.schedule = {to_quiet()};
    Recorder seen;
    const RunOutcome outcome = run_plan(plan, seen);
    EXPECT_EQ(outcome.end, RunEnd::finished) << outcome.detail;
    EXPECT_GE(seen.marks[abi::Mark::stack_free], 252u) << "all but the idle threads have run and ended";
    EXPECT_EQ(seen.marks[abi::Mark::panic], 0u);
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
        {EventKind::exception, 6}};
    const Place handled{.kind = Place::Kind::mark, .mark = abi::Mark::handler_begin};
    for (const auto& [kind, vector] : kernel_events) {
        plan.schedule.push_back(event(kind, cpu0, vector));
        plan.schedule.push_back(until(handled));
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

/// An event in the event's handler, too: the inner one returns first, each to its own RSP.
TEST_F(RunTest, KernelCodeIsSeenWhereItGoesOnAfterAnEvent) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {call(abi::Sys::null), op(abi::OpKind::spin)}}};
    const Place in_nmi{.kind = Place::Kind::mark, .mark = abi::Mark::handler_begin};
    plan.schedule = {until({.kind = Place::Kind::mark, .mark = abi::Mark::enter_done}), event(EventKind::nmi, cpu0, 0), until(in_nmi),
                     event(EventKind::machine_check, cpu0, 0), {RunToQuiet{}, "run"}};
    Recorder seen;
    std::vector<Gva> interrupted;
    struct Follow final : Observer {
        Follow(Recorder& seen_in, std::vector<Gva>& at_in) : seen(seen_in), at(at_in) {}
        bool at_stop(const Stop& stop) override {
            if (std::holds_alternative<LandedStop>(stop.cause)) {
                at.push_back(seen.last.rip);
            }
            return seen.at_stop(stop);
        }
        bool at_expect(std::size_t, const Stop&) override { return true; }
        void at_end(const Stop&, Ending) override {}
        Recorder& seen;
        std::vector<Gva>& at;
    } follow(seen, interrupted);
    const RunOutcome outcome = run_plan(plan, follow);
    EXPECT_EQ(outcome.end, RunEnd::finished) << outcome.detail;
    ASSERT_EQ(seen.returns.size(), 2u);
    ASSERT_EQ(interrupted.size(), 2u);
    EXPECT_EQ(seen.returns[0].rip, interrupted[1]) << "into the NMI's handler";
    EXPECT_EQ(seen.returns[1].rip, interrupted[0]);
    EXPECT_NE(seen.returns[0].rsp, seen.returns[1].rsp);
}

TEST_F(RunTest, AThreadCanBeSteeredIntoEveryStub) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {op(abi::OpKind::spin)}}};
    plan.schedule = {until({.kind = Place::Kind::user})};
    for (const auto& [kind, vector] : std::vector<std::pair<EventKind, std::uint8_t>>{
             {EventKind::debug, 1}, {EventKind::int3, 3}, {EventKind::page_fault, 14}, {EventKind::exception, 13}, {EventKind::exception, 6}}) {
        plan.schedule.push_back(event(kind, ThreadIndex{0}, vector));
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

TEST_F(RunTest, SteppingSeesTheSameMarksAsRunningFree) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {call(abi::Sys::null), call(abi::Sys::null, abi::Via::int80), call(abi::Sys::null, abi::Via::syscall32),
                                              op(abi::OpKind::touch), op(abi::OpKind::int3), op(abi::OpKind::step), op(abi::OpKind::ud2)}}};
    plan.schedule = {to_quiet()};
    Recorder free;
    Recorder stepped;
    EXPECT_EQ(run_plan(plan, free).end, RunEnd::finished);
    plan.check_every_instruction = true;
    const RunOutcome outcome = run_plan(plan, stepped);
    EXPECT_EQ(outcome.end, RunEnd::finished) << outcome.detail;
    EXPECT_EQ(stepped.marks, free.marks);
    EXPECT_GT(stepped.stops, 5 * free.stops);
}

TEST_F(RunTest, SteppingVisitsEveryBoundaryOfTheEntryInOrder) {
    struct Path final : Observer {
        bool at_stop(const Stop& stop) override {
            rips.push_back(stop.cpus[0].rip);
            return true;
        }
        bool at_expect(std::size_t, const Stop&) override { return true; }
    void at_end(const Stop&, Ending) override {}
        std::vector<Gva> rips;
    };
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {call(abi::Sys::null)}}};
    plan.check_every_instruction = true;
    plan.schedule = {to_quiet()};
    Path path;
    (void)run_plan(plan, path);
    // The straight line of entry_SYSCALL_64 up to its first call, by static disassembly.
    auto decoder = x86::Decoder::create();
    ASSERT_TRUE(decoder);
    Gva at = *guest->find("entry_SYSCALL_64");
    const auto start = std::find(path.rips.begin(), path.rips.end(), at);
    ASSERT_NE(start, path.rips.end()) << "SYSCALL's first boundary was missed";
    unsigned checked = 0;
    for (auto visited = start; visited != path.rips.end(); ++visited, ++checked) {
        EXPECT_EQ(*visited, at) << "boundary " << checked;
        const auto bytes = code_at(at);
        const auto instruction = decoder->decode(bytes, at, x86::CodeMode::bits64);
        ASSERT_TRUE(instruction);
        if (instruction->text.starts_with("call")) {
            break;
        }
        at = at + instruction->length;
    }
    EXPECT_GT(checked, 20u);
}

TEST_F(RunTest, AnUnreachablePlaceIsSaidNotWaitedFor) {
    RunPlan plan;
    plan.guest.cpus = 2;
    plan.guest.offline = 1 << 1;
    plan.threads = {{.name = "A", .program = {op(abi::OpKind::spin)}}};
    plan.schedule = {until({.kind = Place::Kind::sleeps})};
    Recorder seen;
    const RunOutcome outcome = run_plan(plan, seen);
    EXPECT_EQ(outcome.end, RunEnd::unreachable);
    EXPECT_EQ(outcome.detail, "\"a place\" cannot be reached any more: A spins in user mode on cpu0, cpu1 is down. Only an event could change that");
}

TEST_F(RunTest, TheEndOfAHandlerThatHasNothingToDoIsSaidToBeNone) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {op(abi::OpKind::spin)}}};
    plan.schedule = {until({.kind = Place::Kind::user}), event(EventKind::irq, cpu0, abi::device_vector),
                     until({.kind = Place::Kind::mark, .mark = abi::Mark::handler_end})};
    Recorder seen;
    const RunOutcome outcome = run_plan(plan, seen);
    EXPECT_EQ(outcome.end, RunEnd::unreachable);
    EXPECT_EQ(outcome.detail, "\"a place\" cannot be reached any more: A spins in user mode on cpu0. A handler without [guest.depth] has no end of its "
                              "own: wait for its handler.begin");
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
