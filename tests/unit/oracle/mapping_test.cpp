// INV-1, 2, 3, 5, 11, 27, 28, 29: each broken once, and each nearly.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

void unmap_to_cache(Rig& r, std::uint32_t id, unsigned index) {
    FakeGuest::push(r.g.cpu().cache, r.g.pfn_of(id, index));
    r.g.page(id, index) = 0;
}

TEST(Inv1, KthreadThatLacksItsLowestPage) {
    Rig r;
    unmap_to_cache(r, r.g.k, 3);
    r.boot();
    EXPECT_ONLY(r, Inv::inv1);
}

TEST(Inv1, UserThreadThatLacksItsLowestPageIsNoConcern) {
    Rig r;
    r.boot();
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv1);
}

TEST(Inv1, EveryThreadUnderTheFixedScheme) {
    Rig r({.scheme = abi::Scheme::fixed});
    unmap_to_cache(r, r.g.a, 1);
    r.boot();
    EXPECT_ONLY(r, Inv::inv1);
}

TEST(Inv2, NewUserThreadWithASecondPage) {
    Rig r;
    r.g.map(r.g.b, 1, FakeGuest::pop(r.g.cpu().cache));
    r.boot();
    EXPECT_FIRED(r, Inv::inv2);
    EXPECT_EQ(r.violations.front().threads, std::vector{ThreadId(r.g.b)});
}

TEST(Inv2, TheSamePagesAfterEnterAreFine) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    EXPECT_CLEAN(r);
}

TEST(Inv29, AKthreadThatBecameAUserThreadAndLosesAPageBeforeItsExit) {
    Rig r;
    r.boot();
    r.switch_to(idle0, r.g.k);
    r.g.thread(r.g.k).kind = abi::ThreadKind::user;
    r.mark(Mark::exec, r.g.k);
    r.boundary();
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv29);
    unmap_to_cache(r, r.g.k, 3);
    r.boundary();
    ASSERT_FIRED(r, Inv::inv29);
    EXPECT_EQ(r.violations[0].text,
              "User thread K has become one and not left the kernel yet, so it must have all four pages; {P0,P1,P2} are mapped.");
}

TEST(Inv3, PresentGuardPage) {
    Rig r;
    r.boot();
    r.g.pte(abi::stack_base(r.g.a) - 1) = 0x500000 | 3 | 1ull << 63;
    r.boundary();
    EXPECT_ONLY(r, Inv::inv3);
}

TEST(Inv3, GuardPteWithoutPresentBitIsFine) {
    Rig r;
    r.boot();
    r.g.pte(abi::stack_base(r.g.a) - 1) = 0x500000 | 2;
    r.boundary();
    EXPECT_CLEAN(r);
}

TEST(Inv3, TwoThreadsInOneSlot) {
    Rig r;
    r.g.thread(r.g.b).slot = r.g.thread(r.g.a).slot;
    r.boot();
    EXPECT_FIRED(r, Inv::inv3);
}

TEST(Inv3, TopPageOfALiveThreadMissing) {
    Rig r;
    unmap_to_cache(r, r.g.b, 0);
    r.boot();
    EXPECT_FIRED(r, Inv::inv3);
}

TEST(Inv3, StackOverflowIntoTheGuard) {
    Rig r;
    r.boot();
    r.switch_to(idle0, r.g.k);
    r.in_kernel(r.g.k, false, abi::thread_size + 8);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv3);
}

TEST(Inv3, LastByteOfTheStackIsFine) {
    Rig r;
    r.boot();
    r.switch_to(idle0, r.g.k);
    r.in_kernel(r.g.k, false, abi::thread_size);
    r.boundary();
    EXPECT_CLEAN(r);
}

TEST(Inv5, EnterThatMapsTwoPages) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.a, 1);
    for (unsigned i = 1; i <= 2; ++i) {
        const std::uint32_t pfn = FakeGuest::pop(r.g.cpu().cache);
        FakeGuest::push(r.g.cpu().hands, pfn);
        r.mark(Mark::enter_take, r.g.a, 2, pfn);
        r.g.map(r.g.a, i, FakeGuest::pop(r.g.cpu().hands));
        r.mark(Mark::enter_pte, r.g.a, i, pfn);
    }
    EXPECT_CLEAN(r);  // partial inside the hook is how it works
    r.mark(Mark::enter_done, r.g.a, 1, 0);
    EXPECT_ONLY(r, Inv::inv5);
}

TEST(Inv5, OwedByAnEntryThatMayNotWait) {
    Rig r({.cache = 0, .free = 0});
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.a, static_cast<std::uint64_t>(Entry::timer));
    r.stop(engine::ChoiceStop{abi::Choice::alloc, {0, r.g.a}, 0});
    r.g.thread(r.g.a).pend = 1;
    r.mark(Mark::enter_done, r.g.a, static_cast<std::uint64_t>(Entry::timer), 1);
    EXPECT_ONLY(r, Inv::inv5);
}

TEST(Inv5, OwedByASyscallIsFine) {
    Rig r({.cache = 0, .free = 0});
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    EXPECT_EQ(r.g.thread(r.g.a).pend, 1u);
    EXPECT_CLEAN(r);
}

TEST(Inv5, PendThatOutlivesItsReason) {
    Rig r;
    r.boot_to_user();
    r.g.thread(r.g.a).pend = 1;
    r.enter(r.g.a, Entry::syscall64);
    ASSERT_FIRED(r, Inv::inv5);
    EXPECT_EQ(r.violations.front().id, "INV-5");
}

TEST(Inv5, NoSourceLeftAndNobodyToBlame) {
    Rig r({.cache = 0, .reserve = 0, .free = 0});
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    EXPECT_ONLY(r, Inv::inv5);
}

TEST(Inv5, ExitWorkWithoutPagesThatNobodyOwes) {
    for (const bool owed : {false, true}) {
        test::Setup setup;
        setup.policies.repair = abi::Repair::give_back;
        Rig r(setup);
        r.boot_to_user();
        r.enter(r.g.a, Entry::timer);
        r.mark(Mark::loop_begin, r.g.a, abi::work_need_resched);
        for (unsigned i = 1; i <= abi::extra_pages; ++i) {
            unmap_to_cache(r, r.g.a, i);
        }
        r.g.thread(r.g.a).pend = owed ? 1 : 0;
        r.g.thread(r.g.a).source = StackSource::none;
        r.set_irqs(true);
        r.mark(Mark::loop_irq_on, r.g.a, abi::work_need_resched);
        EXPECT_EQ(r.fired(Inv::inv5), !owed) << r.all();
    }
}

TEST(Inv5, SignalTakenWithoutPages) {
    for (const bool killable : {false, true}) {
        for (const bool given_back : {false, true}) {
            test::Setup setup;
            setup.policies.repair = abi::Repair::give_back;
            setup.policies.kill = killable ? abi::Kill::killable : abi::Kill::uninterruptible;
            Rig r(setup);
            r.boot_to_user();
            r.enter(r.g.a, Entry::timer);
            r.mark(Mark::loop_begin, r.g.a, abi::work_signal);
            for (unsigned i = 1; given_back && i <= abi::extra_pages; ++i) {
                unmap_to_cache(r, r.g.a, i);
            }
            r.g.thread(r.g.a).pend = given_back ? 1 : 0;
            r.g.thread(r.g.a).source = given_back ? StackSource::none : StackSource::cache;
            r.set_irqs(true);
            r.mark(Mark::loop_irq_on, r.g.a, abi::work_signal);
            EXPECT_CLEAN(r);
            r.mark(Mark::signal, r.g.a, 9);
            EXPECT_EQ(r.fired(Inv::inv5), given_back && !killable) << r.all();
        }
    }
}

TEST(Inv5, PageLostInTheKernel) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    unmap_to_cache(r, r.g.a, 3);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv5);
}

TEST(Inv11, UserModeWithAnExtraPage) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.in_user(r.g.a);
    r.user_stop();
    EXPECT_FIRED(r, Inv::inv11);
    EXPECT_FIRED(r, Inv::inv10);
}

TEST(Inv11, AnotherThreadsExtraPagesAreFine) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.first_run(r.g.b, r.g.a);
    EXPECT_CLEAN(r);
    EXPECT_EQ(r.oracle.facts().mapped(ThreadId(r.g.a)), 4u);
    EXPECT_TRUE(r.oracle.facts().user(ThreadId(r.g.b)));
    EXPECT_FALSE(r.oracle.facts().user(ThreadId(r.g.a)));
}

TEST(Inv27, WrongRights) {
    for (const std::uint64_t flip :
         {std::uint64_t{2}, std::uint64_t{4}, std::uint64_t{0x10}, std::uint64_t{1} << 63}) {
        Rig r;
        r.boot();
        r.g.page(r.g.a, 0) ^= flip;
        r.boundary();
        EXPECT_ONLY(r, Inv::inv27);  // US too, although the levels above still keep ring 3 out
    }
}

TEST(Inv27, RightsOfAnUpperLevelCount) {
    Rig r;
    r.boot();
    const std::uint64_t pml4e = r.g.state().kernel_cr3 + (abi::stack_area_base >> 39 & 511) * 8;
    r.g.ram.at<std::uint64_t>(pml4e) &= ~2ull;  // read-only from the top
    r.boundary();
    EXPECT_FIRED(r, Inv::inv27);
}

TEST(Inv27, AccessedAndDirtyAreFine) {
    Rig r;
    r.boot();
    r.g.page(r.g.a, 0) |= 0x160;  // A, D, G
    r.boundary();
    EXPECT_CLEAN(r);
}

TEST(Inv28, StackFreedWithItsTopPageStillMapped) {
    Rig r;
    r.boot();
    r.g.thread(r.g.b).state = abi::ThreadState::unused;
    r.mark(Mark::stack_free, r.g.b, r.g.b);
    EXPECT_ONLY(r, Inv::inv28);
}

TEST(Inv28, StackFreedWithALoan) {
    Rig r;
    r.boot();
    r.g.free(r.g.pfn_of(r.g.b, 0));
    r.g.page(r.g.b, 0) = 0;
    r.g.thread(r.g.b).loan = 3;
    r.g.thread(r.g.b).state = abi::ThreadState::unused;
    r.mark(Mark::stack_free, r.g.b, r.g.b);
    EXPECT_ONLY(r, Inv::inv28);
}

TEST(Inv28, DeadThreadBeforeItsStackIsFreedIsFine) {
    Rig r;
    r.boot();
    r.g.thread(r.g.b).state = abi::ThreadState::dead;
    r.boundary();
    EXPECT_CLEAN(r);
}

}  // namespace
}  // namespace stackrig::oracle::test
