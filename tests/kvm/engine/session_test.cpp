// Walking a run: stepping sees what running sees, every boundary can be saved, and a decision does what an event put there does.
#include "vmm/engine/session.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <utility>

#include "guest/abi/layout.hpp"
#include "tests/kvm/fixture.hpp"
#include "vmm/machine/snapshot.hpp"

namespace stackrig::engine {
namespace {

using machine::Snapshot;
using machine::Snapshots;
using test::must;

/// Keeps what the trace hash is made of, so that a difference has a place and a register.
struct Recorder final : Observer {
    struct Seen {
        std::size_t cause;
        CpuState cpu;
    };
    bool at_stop(const Stop& stop) override {
        seen.push_back({stop.cause.index(), stop.cpus[stop.cpu.value()]});
        return true;
    }
    bool at_expect(std::size_t, const Stop&) override { return true; }
    void at_end(const Stop&, Ending) override {}
    std::vector<Seen> take() { return std::exchange(seen, {}); }
    std::vector<Seen> seen;
};

/// The first stop at which two runs differ, compared from their ends: one of them may have begun in the middle.
std::string first_difference(const std::vector<Recorder::Seen>& a, const std::vector<Recorder::Seen>& b, const x86::Elf& guest) {
    const std::size_t common = std::min(a.size(), b.size());
    for (std::size_t left = common; left > 0; --left) {
        const auto& [cause, x] = a[a.size() - left];
        const auto& [other_cause, y] = b[b.size() - left];
        if (cause == other_cause && x.rip == y.rip && x.rflags == y.rflags && x.gpr == y.gpr && x.cr3 == y.cr3) {
            continue;
        }
        std::string text = fmt::format("{} stops before the end: cause {} at {} flags {:#x} cr3 {} / cause {} at {} flags {:#x} cr3 {}", left, cause,
                                       guest.describe(x.rip), x.rflags, x.cr3, other_cause, guest.describe(y.rip), y.rflags, y.cr3);
        for (std::size_t r = 0; r < x.gpr.size(); ++r) {
            text += x.gpr[r] == y.gpr[r] ? "" : fmt::format(", r{} {:#x} / {:#x}", r, x.gpr[r], y.gpr[r]);
        }
        return text;
    }
    return "none";
}

class SessionTest : public test::KvmTest {
  protected:
    void SetUp() override {
        test::KvmTest::SetUp();
        if (!IsSkipped()) {
            const char* path = std::getenv("STACKRIG_GUEST");
            guest.emplace(must(x86::Elf::load(path != nullptr ? path : "guest.elf")));
        }
    }
    std::unique_ptr<Session> session_of(const RunPlan& plan) { return must(Session::create(system(), *guest, plan, recorder, {})); }
    RunOutcome run_plan(const RunPlan& plan) { return must(run(system(), *guest, plan, recorder, {})); }

    static abi::Op call(abi::Sys number, abi::Via via = abi::Via::syscall64, std::uint32_t arg = 0) {
        return {abi::OpKind::call, number, via, arg, 0, 0};
    }
    static abi::Op op(abi::OpKind kind) { return {kind, abi::Sys::null, abi::Via::syscall64, 0, 0, 0}; }
    static Step to_quiet() { return {RunToQuiet{}, "run"}; }
    Place symbol(const char* name, std::uint32_t occurrence = 1) {
        return {.kind = Place::Kind::symbol, .symbol = name, .address = *guest->find(name), .occurrence = occurrence, .text = name};
    }

    /// Two threads, faults, a sleep and a wake, places that breakpoints make, an interrupt that waits for IF, a policy.
    RunPlan busy_plan() {
        RunPlan plan;
        plan.guest.cache_pages = 3;
        plan.guest.free_pages = 2;
        plan.threads = {{.name = "A", .program = {call(abi::Sys::null), call(abi::Sys::wait, abi::Via::int80, 1), op(abi::OpKind::touch), op(abi::OpKind::spin)}},
                        {.name = "B", .program = {call(abi::Sys::null), call(abi::Sys::wake, abi::Via::syscall64, 1), op(abi::OpKind::spin)}}};
        plan.schedule = {{RunUntil{ThreadIndex{0}, {}, symbol("do_syscall_64")}, "run A until do_syscall_64"},
                         {Inject{Event{.kind = EventKind::irq, .vector = Vector(abi::timer_vector), .text = "irq"}, CpuId{0}}, "inject"},
                         {AllocPolicy{AllocPolicy::Kind::fail_next, 1}, "fail"},
                         {RunUntil{ThreadIndex{0}, {}, {.kind = Place::Kind::sleeps, .thread = ThreadIndex{0}, .text = "A sleeps"}}, "run A until sleeps"},
                         to_quiet()};
        return plan;
    }

    std::optional<x86::Elf> guest;
    Recorder recorder;
};

/// The run by single instructions from the end of boot on; `at` is called at each boundary.
template <class At>
RunOutcome walk(Session& session, At&& at) {
    while (must(session.poise())) {
        if (session.state().booting) {
            must(session.go());
        } else {
            at();
            must(session.step());
        }
    }
    return session.finish();
}

TEST_F(SessionTest, SteppingShowsTheStopsThatRunningShows) {
    const RunPlan plan = busy_plan();
    const RunOutcome running = run_plan(plan);
    ASSERT_EQ(running.end, RunEnd::finished) << running.detail;
    const auto session = session_of(plan);
    std::size_t boundaries = 0;
    const RunOutcome stepping = walk(*session, [&] { ++boundaries; });
    EXPECT_EQ(stepping.end, RunEnd::finished) << stepping.detail;
    EXPECT_EQ(stepping.stops, running.stops);
    EXPECT_EQ(stepping.trace_hash, running.trace_hash);
    EXPECT_GT(boundaries, 1000u);
}

TEST_F(SessionTest, FromEveryBoundaryTheRunGoesOnAsItDid) {
    const RunPlan plan = busy_plan();
    const auto session = session_of(plan);
    while (must(session->poise()) && session->state().booting) {
        must(session->go());
    }
    const auto snapshots = must(Snapshots::begin(session->machine()));
    std::vector<std::pair<Snapshot, Session::State>> path;
    const RunOutcome whole = walk(*session, [&] { path.emplace_back(must(snapshots->take()), session->state()); });
    ASSERT_EQ(whole.end, RunEnd::finished) << whole.detail;
    session->stop_stepping();
    for (std::size_t k = 0; k < path.size(); k += 13) {
        const auto& [snapshot, state] = path[k * 7 % path.size()];
        must(snapshots->restore(snapshot));
        must(session->restore(state));
        ASSERT_EQ(must(snapshots->verify(snapshot)), "");
        while (must(session->poise())) {
            must(session->go());
        }
        const RunOutcome again = session->finish();
        ASSERT_EQ(again.end, RunEnd::finished) << again.detail << ", from " << guest->describe(state.cpus[0].rip);
        ASSERT_EQ(again.stops, whole.stops) << guest->describe(state.cpus[0].rip);
        ASSERT_EQ(again.trace_hash, whole.trace_hash) << guest->describe(state.cpus[0].rip);
    }
}

TEST_F(SessionTest, ADecisionDoesWhatTheSameEventPutThereDoes) {
    const RunPlan plan = busy_plan();
    const auto session = session_of(plan);
    while (must(session->poise()) && session->state().booting) {
        must(session->go());
    }
    const auto snapshots = must(Snapshots::begin(session->machine()));
    struct Boundary {
        Snapshot snapshot;
        Session::State state;
        std::uint32_t thread;
        Gva rip;
        std::uint32_t occurrence;
    };
    std::vector<Boundary> path;
    std::map<std::pair<std::uint32_t, Gva>, std::uint32_t> seen;
    walk(*session, [&] {
        const Session::State& state = session->state();
        const std::uint32_t thread = state.tracker.current(CpuId{0});
        const Gva rip = Gva(must(session->machine().vcpu(CpuId{0}).regs()).rip);
        path.push_back({must(snapshots->take()), state, thread, rip, ++seen[{thread, rip}]});
    });
    session->stop_stepping();
    const Event nmi{.kind = EventKind::nmi, .text = "nmi"};
    unsigned compared = 0;
    unsigned in_user_code = 0;
    for (std::size_t k = 0; k < path.size(); k += 41) {
        const Boundary& at = path[k];
        must(snapshots->restore(at.snapshot));
        must(session->restore(at.state));
        if (at.thread < plan.guest.cpus || must(session->refusal(nmi)) || must(session->machine().vcpu(CpuId{0}).interrupt_shadow()) != 0) {
            continue;
        }
        (void)recorder.take();
        must(session->inject_here(nmi));
        while (must(session->poise())) {
            must(session->go());
        }
        const RunOutcome put = session->finish();
        const auto put_stops = recorder.take();
        RunPlan decided = plan;
        decided.decisions = {{InjectAt{{.kind = Place::Kind::symbol, .thread = ThreadIndex{at.thread - plan.guest.cpus}, .address = at.rip,
                                        .occurrence = at.occurrence}, nmi}, "nmi there"}};
        const RunOutcome replayed = run_plan(decided);
        ASSERT_EQ(replayed.end, put.end) << replayed.detail << " / " << put.detail << " at " << guest->describe(at.rip);
        ASSERT_EQ(replayed.stops, put.stops) << guest->describe(at.rip) << " #" << at.occurrence;
        ASSERT_EQ(replayed.trace_hash, put.trace_hash)
            << guest->describe(at.rip) << " #" << at.occurrence << ": " << first_difference(put_stops, recorder.take(), *guest);
        ++compared;
        in_user_code += at.rip.value() < abi::kernel_map_base ? 1 : 0;
    }
    EXPECT_GT(compared, 20u);
    EXPECT_GT(in_user_code, 0u);
}

TEST_F(SessionTest, AllocationsFailByNumberOfTheirThread) {
    RunPlan plan;
    plan.guest.cache_pages = 0;
    plan.threads = {{.name = "A", .program = {call(abi::Sys::null), call(abi::Sys::null), op(abi::OpKind::spin)}}};
    plan.schedule = {to_quiet()};
    struct Choices final : Observer {
        bool at_stop(const Stop& stop) override {
            if (const auto* choice = std::get_if<ChoiceStop>(&stop.cause); choice != nullptr && choice->choice == abi::Choice::alloc) {
                answers.push_back(choice->answer);
            }
            return true;
        }
        bool at_expect(std::size_t, const Stop&) override { return true; }
    void at_end(const Stop&, Ending) override {}
        std::vector<std::uint32_t> answers;
    };
    const auto answers = [&](std::optional<FailAllocation> failure) {
        Choices choices;
        RunPlan decided = plan;
        if (failure) {
            decided.decisions = {{*failure, "fail"}};
        }
        (void)must(run(system(), *guest, decided, choices, {}));
        return choices.answers;
    };
    const auto none = answers(std::nullopt);
    ASSERT_GE(none.size(), 3u);
    EXPECT_EQ(std::count(none.begin(), none.end(), 0u), 0);
    const auto second = answers(FailAllocation{.thread = ThreadIndex{0}, .nth = 2});
    ASSERT_GE(second.size(), 2u);
    EXPECT_EQ(second[1], 0u);
    EXPECT_EQ(std::count(second.begin(), second.end(), 0u), 1);
    const auto all = answers(FailAllocation{.thread = ThreadIndex{0}, .nth = 2, .and_all_later = true});
    EXPECT_EQ(all[0], 1u);
    EXPECT_EQ(std::count(all.begin(), all.end(), 1u), 1);
}

TEST_F(SessionTest, ADecisionThatCannotBeDoneEndsTheRunAndOneNeverReachedIsNotTaken) {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {call(abi::Sys::null), op(abi::OpKind::spin)}}};
    plan.schedule = {to_quiet()};
    const Event irq{.kind = EventKind::irq, .vector = Vector(abi::timer_vector), .text = "irq(timer)"};
    plan.decisions = {{InjectAt{symbol("enter_from_user_mode"), irq}, "too early"}};
    const RunOutcome early = run_plan(plan);
    EXPECT_EQ(early.end, RunEnd::undeliverable);
    EXPECT_EQ(early.detail, "\"too early\" cannot be done: at enter_from_user_mode IF=0");
    plan.decisions = {{InjectAt{symbol("enter_from_user_mode", 99), irq}, "never"}};
    const auto session = session_of(plan);
    while (must(session->poise())) {
        must(session->go());
    }
    EXPECT_FALSE(session->state().taken[0]);
    EXPECT_EQ(session->finish().end, RunEnd::finished);
}

}  // namespace
}  // namespace stackrig::engine
