// The tracker: thread states from marks, choice points, places. Each test names the bug it would catch.
#include "vmm/engine/tracker.hpp"

#include <gtest/gtest.h>

namespace stackrig::engine {
namespace {

using abi::Mark;

constexpr CpuId cpu0{0};
constexpr std::uint32_t idle = 0;
constexpr std::uint32_t a = 1;
constexpr std::uint32_t b = 2;

RunPlan two_threads() {
    RunPlan plan;
    plan.threads = {{.name = "A", .program = {}}, {.name = "B", .program = {}}};
    return plan;
}

StopCause mark(Mark what, std::uint64_t x = 0, std::uint64_t y = 0) { return MarkStop{what, {x, y, 0}}; }
StopCause user(abi::UserMark what) { return UserMarkStop{what, 0}; }

class TrackerTest : public testing::Test {
  protected:
    void happen(const StopCause& cause) { tracker.observe(cpu0, cause); }
    bool reach(const StopCause& cause) {
        happen(cause);
        return tracker.reached(cpu0, cause, std::nullopt);
    }
    void switch_to(std::uint32_t from, std::uint32_t to) { happen(mark(Mark::switched, from, to)); }

    RunPlan plan = two_threads();
    Tracker tracker{plan};
};

TEST_F(TrackerTest, FollowsTheCurrentThreadThroughSwitches) {
    EXPECT_EQ(tracker.current(cpu0), idle);
    switch_to(idle, b);
    EXPECT_EQ(tracker.current(cpu0), b);
}

TEST_F(TrackerTest, SeesWhoComesBehindAThreadThatNoScenarioNames) {
    constexpr std::uint32_t helper = 3;
    switch_to(a, helper);
    EXPECT_EQ(tracker.current(cpu0), helper);
    switch_to(helper, b);
    EXPECT_EQ(tracker.current(cpu0), b) << "places of B would not be found any more";
    EXPECT_EQ(tracker.home(ThreadIndex{1}), cpu0);
}

TEST_F(TrackerTest, ASleeperIsAsleepOnlyOnceTheCpuHasLeftIt) {
    switch_to(idle, a);
    happen(mark(Mark::sleep, a));
    EXPECT_FALSE(tracker.can_run(a));
    EXPECT_FALSE(tracker.is_asleep(a)) << "it still runs schedule()";
    switch_to(a, b);
    EXPECT_TRUE(tracker.is_asleep(a));
    happen(mark(Mark::wake, a));
    EXPECT_FALSE(tracker.is_asleep(a));
    EXPECT_TRUE(tracker.can_run(a));
}

TEST_F(TrackerTest, PrefersTheThreadOfTheStepOnlyWhileItCanRun) {
    tracker.prefer(ThreadIndex{1});
    EXPECT_EQ(tracker.answer(abi::Choice::next, a, 0), b);
    happen(mark(Mark::sleep, b));
    EXPECT_EQ(tracker.answer(abi::Choice::next, a, 0), a) << "a blocked thread must never be the answer";
    happen(mark(Mark::wake, b));
    happen(mark(Mark::thread_exit, b));
    EXPECT_EQ(tracker.answer(abi::Choice::next, a, 0), a) << "nor a dead one";
}

TEST_F(TrackerTest, FailsExactlyTheNextAllocations) {
    tracker.set_alloc_policy({AllocPolicy::Kind::fail_next, 2});
    EXPECT_EQ(tracker.answer(abi::Choice::alloc, 0, a), 0u);
    EXPECT_EQ(tracker.answer(abi::Choice::alloc, 0, a), 0u);
    EXPECT_EQ(tracker.answer(abi::Choice::alloc, 0, a), 1u);
    tracker.set_alloc_policy({AllocPolicy::Kind::fail_all, 0});
    EXPECT_EQ(tracker.answer(abi::Choice::alloc, 0, a), 0u);
    tracker.set_alloc_policy({});
    EXPECT_EQ(tracker.answer(abi::Choice::alloc, 0, a), 1u);
}

TEST_F(TrackerTest, OneTickReschedulesOnce) {
    tracker.want_resched();
    EXPECT_EQ(tracker.answer(abi::Choice::resched, 0, a), 1u);
    EXPECT_EQ(tracker.answer(abi::Choice::resched, 0, a), 0u);
}

TEST_F(TrackerTest, UserPlaceIsThatThreadsNotAnothers) {
    switch_to(idle, b);
    EXPECT_FALSE(tracker.begin({.kind = Place::Kind::user, .thread = ThreadIndex{0}}));
    EXPECT_FALSE(reach(user(abi::UserMark::op)));
    switch_to(b, a);
    EXPECT_TRUE(reach(user(abi::UserMark::op)));
}

TEST_F(TrackerTest, CountsOccurrencesWithinTheStep) {
    switch_to(idle, a);
    EXPECT_FALSE(tracker.begin({.kind = Place::Kind::mark, .mark = Mark::exit_pte, .occurrence = 3}));
    EXPECT_FALSE(reach(mark(Mark::exit_pte, a, 1)));
    EXPECT_FALSE(reach(mark(Mark::exit_pte, a, 2)));
    EXPECT_TRUE(reach(mark(Mark::exit_pte, a, 3)));
    EXPECT_FALSE(tracker.begin({.kind = Place::Kind::mark, .mark = Mark::exit_pte, .occurrence = 2}));
    EXPECT_FALSE(reach(mark(Mark::exit_pte, a, 1))) << "a new step counts anew";
}

TEST_F(TrackerTest, WithoutAPlaceNothingIsCounted) {
    switch_to(idle, a);
    const Tracker before = tracker;
    EXPECT_FALSE(tracker.begin({.kind = Place::Kind::mark, .mark = Mark::exit_pte, .occurrence = 2}));
    EXPECT_FALSE(reach(mark(Mark::exit_pte, a, 1)));
    EXPECT_FALSE(tracker == before);
    tracker.seek_nothing();
    EXPECT_FALSE(reach(mark(Mark::exit_pte, a, 2))) << "this would have been it";
    EXPECT_TRUE(tracker == before) << "runs that differ in how often they passed the place of a step that is over go on alike";
}

TEST_F(TrackerTest, MarkPlacesBelongToTheThreadInTheMark) {
    switch_to(idle, a);
    EXPECT_FALSE(tracker.begin({.kind = Place::Kind::mark, .thread = ThreadIndex{1}, .mark = Mark::wake}));
    EXPECT_FALSE(reach(mark(Mark::wake, a)));
    EXPECT_TRUE(reach(mark(Mark::wake, b))) << "woken by A, but it is B's mark";
}

TEST_F(TrackerTest, SleepsHoldsAtOnceForASleeper) {
    happen(mark(Mark::sleep, a));
    switch_to(a, b);
    EXPECT_TRUE(tracker.begin({.kind = Place::Kind::sleeps, .thread = ThreadIndex{0}}));
    EXPECT_FALSE(tracker.begin({.kind = Place::Kind::sleeps, .thread = ThreadIndex{1}}));
    happen(mark(Mark::sleep, b));
    EXPECT_TRUE(reach(mark(Mark::switched, b, idle)));
}

TEST_F(TrackerTest, BreakpointsReachOnlyTheirOwnAddress) {
    EXPECT_FALSE(tracker.begin({.kind = Place::Kind::symbol}, {Gva{0x1000}}));
    EXPECT_FALSE(tracker.reached(cpu0, PlaceStop{}, Gva{0x2000}));
    EXPECT_TRUE(tracker.reached(cpu0, PlaceStop{}, Gva{0x1000}));
}

TEST_F(TrackerTest, QuietIsIdleOrASecondUndisturbedSpin) {
    happen(user(abi::UserMark::spin));
    EXPECT_FALSE(tracker.quiet(CpuId{0})) << "the first round may follow work";
    happen(mark(Mark::enter_begin, a));
    happen(user(abi::UserMark::spin));
    EXPECT_FALSE(tracker.quiet(CpuId{0}));
    happen(BoundaryStop{});
    EXPECT_FALSE(tracker.quiet(CpuId{0}));
    happen(user(abi::UserMark::spin));
    EXPECT_TRUE(tracker.quiet(CpuId{0})) << "instructions stepped in between are no disturbance";
    happen(HaltStop{});
    EXPECT_TRUE(tracker.quiet(CpuId{0}));
}

}  // namespace
}  // namespace stackrig::engine
