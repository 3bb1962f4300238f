// INV-17, 19, 20, 21: the reserve, and the counterexample to "more than one is never needed".
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

const Setup nothing_left{.cache = 0, .free = 0};

/// A's timer entry is on the reserve, the exit loop has enabled IRQs.
void lend_and_enable(Rig& r) {
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::loop_begin, r.g.a, abi::work_need_resched);
    r.set_irqs(true);
    r.mark(Mark::loop_irq_on, r.g.a, abi::work_need_resched);
}

TEST(Inv21, IrqsOnWithTheReserveOnLoan) {
    Rig r(nothing_left);
    lend_and_enable(r);
    EXPECT_ONLY(r, Inv::inv21);
}

TEST(Inv21, IrqsOnWithCachePagesIsFine) {
    Rig r;
    lend_and_enable(r);
    EXPECT_CLEAN(r);
    EXPECT_EQ(r.oracle.examined(Inv::inv21).applicable, 0u);
}

TEST(Inv20And17, HolderScheduledOutAndAnotherThreadReturns) {
    Rig r(nothing_left);
    lend_and_enable(r);
    r.first_run(r.g.b, r.g.a);
    EXPECT_FIRED(r, Inv::inv20);
    EXPECT_FIRED(r, Inv::inv17);
    EXPECT_FALSE(r.fired(Inv::inv19)) << "no second one has been needed yet";
}

TEST(Inv17, ReserveShortOfAPageFromTheStart) {
    Rig r;
    r.g.free(FakeGuest::pop(r.g.cpu().reserve));
    r.boot_to_user();
    EXPECT_FIRED(r, Inv::inv17);
}

TEST(Inv17, AlsoOfACpuThatNobodyIsKnownToRunOn) {
    Rig r;
    r.boot_to_user();
    r.g.free(FakeGuest::pop(r.g.cpu().reserve));
    r.cpus[0].cr3 = Gpa(r.g.state().kernel_cr3);
    r.user_stop();
    ASSERT_FIRED(r, Inv::inv17);
    EXPECT_FIRED(r, Inv::i17);
    EXPECT_EQ(r.violations[0].text, "cpu0 runs an unknown thread in user mode with 2 of 3 pages in its reserve; nobody holds the rest on a "
                                    "stack.");
}

TEST(Inv17, NoReserveConfiguredIsNotApplicable) {
    Rig r({.reserve = 0});
    r.boot_to_user();
    EXPECT_CLEAN(r);
    EXPECT_EQ(r.oracle.examined(Inv::inv17).applicable, 0u);
    EXPECT_GT(r.oracle.examined(Inv::inv17).evaluated, 0u);
}

TEST(Inv19, SecondOneNeeded) {
    Rig r(nothing_left, "INV-19");
    lend_and_enable(r);
    r.first_run(r.g.b, r.g.a);
    EXPECT_CLEAN(r);  // what leads there is noted only
    r.enter(r.g.b, Entry::timer);
    EXPECT_ONLY(r, Inv::inv19);
    EXPECT_EQ(r.violations[0].threads, (std::vector{ThreadId(r.g.b), ThreadId(r.g.a)}));
    EXPECT_NE(r.violations[0].text.find("A still holds 3"), std::string::npos) << r.all();
    std::vector<std::string_view> noted;
    for (const Violation& v : r.oracle.notes()) {
        noted.push_back(v.id);
    }
    EXPECT_EQ(noted, (std::vector<std::string_view>{"INV-21", "INV-20", "INV-17"}));
}

TEST(Inv19, TwoThreadsShareTheReserve) {
    Rig r({.cache = 2, .free = 0}, "INV-19");
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);  // two from the cache, one from the reserve
    r.mark(Mark::loop_begin, r.g.a, 1);
    r.first_run(r.g.b, r.g.a);
    const std::uint32_t extra = 0x480;
    r.g.frame(extra).use = abi::FrameUse::stack;
    FakeGuest::push(r.g.cpu().cache, extra);
    r.in_kernel(r.g.b);
    r.mark(Mark::enter_begin, r.g.b, static_cast<std::uint64_t>(Entry::timer));
    EXPECT_CLEAN(r);
    for (unsigned i = 1; i <= 2; ++i) {
        r.g.map(r.g.b, i, FakeGuest::pop(r.g.cpu().reserve));
    }
    r.boundary();
    EXPECT_ONLY(r, Inv::inv19);
}

TEST(Inv19, TheSameThreadTwiceIsFine) {
    Rig r(nothing_left);
    r.boot_to_user();
    for (int i = 0; i < 3; ++i) {
        r.enter(r.g.a, Entry::machine_check);
        r.exit(r.g.a);
        r.leave(r.g.a);
    }
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv19);
}

TEST(Inv19, ReservesOfTwoCpusAreTwoReserves) {
    Rig r({.cpus = 2, .cache = 0, .free = 0});
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    EXPECT_EQ(r.oracle.facts().reserve_users(CpuId(0)), 1u);
    EXPECT_EQ(r.oracle.facts().reserve_users(CpuId(1)), 0u);
    EXPECT_EQ(r.oracle.facts().reserve(CpuId(1)), 3u);
    EXPECT_CLEAN(r);
}

TEST(Loan, RepaidWithOtherFramesIsOver) {
    Rig r(nothing_left);
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    for (std::uint32_t pfn = 0x480; pfn < 0x483; ++pfn) {
        r.g.frame(pfn).use = abi::FrameUse::stack;
        FakeGuest::push(r.g.cpu().reserve, pfn);
    }
    r.g.thread(r.g.a).loan = 0;
    r.boundary();
    r.boundary();
    EXPECT_EQ(r.oracle.facts().reserve_users(CpuId(0)), 0u);
    r.mark(Mark::loop_begin, r.g.a, 1);
    r.set_irqs(true);
    r.mark(Mark::loop_irq_on, r.g.a, 1);
    EXPECT_CLEAN(r);
}

}  // namespace
}  // namespace stackrig::oracle::test
