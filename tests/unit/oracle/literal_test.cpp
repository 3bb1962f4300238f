// The literal scheme, done right, breaks nothing: each check's near miss at once, and proof that it looked.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

TEST(Literal, SyscallOnCachePagesIsClean) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.mark(Mark::syscall, r.g.a, 0, 1);
    r.exit(r.g.a);
    r.leave(r.g.a);
    EXPECT_CLEAN(r);
    for (const Inv inv :
         {Inv::inv1,  Inv::inv2,  Inv::inv3,  Inv::inv4,  Inv::inv5,  Inv::inv7,  Inv::inv8,  Inv::inv9,
          Inv::inv10, Inv::inv11, Inv::inv12, Inv::inv13, Inv::inv14, Inv::inv17, Inv::inv20, Inv::inv26,
          Inv::inv27, Inv::inv30, Inv::inv31, Inv::i4,    Inv::i11,   Inv::i17,   Inv::i18,   Inv::ptr}) {
        EXPECT_EXAMINED(r, inv);
    }
    // Nobody used the reserve: these must not claim to have examined anything.
    EXPECT_EQ(r.oracle.examined(Inv::inv19).applicable, 0u);
    EXPECT_EQ(r.oracle.examined(Inv::inv18).applicable, 0u);
    EXPECT_GT(r.oracle.examined(Inv::inv19).evaluated, 0u);
}

TEST(Literal, TimerOnTheReserveTwiceInARowIsClean) {
    Rig r({.cache = 0, .free = 0});
    r.boot_to_user();
    for (int i = 0; i < 2; ++i) {
        r.enter(r.g.a, Entry::timer);
        EXPECT_EQ(r.oracle.facts().loan(ThreadId(r.g.a)), 3u);
        EXPECT_EQ(r.oracle.facts().reserve_users(CpuId(0)), 1u);
        r.mark(Mark::handler_begin, static_cast<std::uint64_t>(Entry::timer), 1);
        r.mark(Mark::handler_end, static_cast<std::uint64_t>(Entry::timer), 1);
        r.exit(r.g.a);
        r.leave(r.g.a);
    }
    EXPECT_CLEAN(r);
    for (const Inv inv : {Inv::inv6, Inv::inv17, Inv::inv18, Inv::inv19, Inv::inv20, Inv::inv21}) {
        EXPECT_EXAMINED(r, inv);
    }
}

TEST(Literal, MixedFundingIsClean) {
    Rig r({.cache = 1, .free = 1});
    r.boot_to_user();
    r.enter(r.g.a, Entry::device);
    EXPECT_EQ(r.oracle.facts().loan(ThreadId(r.g.a)), 1u);
    r.exit(r.g.a);
    r.leave(r.g.a);
    EXPECT_CLEAN(r);
}

TEST(Literal, SyscallThatWaitsForPagesIsClean) {
    Rig r({.cache = 2, .free = 0});
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.mark(Mark::wait_begin, r.g.a, 1);
    r.set_irqs(false);
    r.g.thread(r.g.a).state = abi::ThreadState::blocked;
    r.mark(Mark::sleep, r.g.a, static_cast<std::uint64_t>(abi::WaitKind::pages));
    r.switch_to(r.g.a, idle0);
    EXPECT_TRUE(r.oracle.facts().asleep(ThreadId(r.g.a)));
    EXPECT_TRUE(r.oracle.facts().pend(ThreadId(r.g.a)));
    r.boundary();
    FakeGuest::push(r.g.cpu().cache, r.g.frame(0x500).use == abi::FrameUse::balloon ? 0x500 : 0);
    r.g.frame(0x500).use = abi::FrameUse::stack;  // somebody returned a page
    r.mark(Mark::idle, 0);
    r.switch_to(idle0, r.g.a);
    for (int i = 0; i < 3; ++i) {
        const std::uint32_t pfn = FakeGuest::pop(r.g.cpu().cache);
        FakeGuest::push(r.g.cpu().hands, pfn);
        r.mark(Mark::enter_take, r.g.a, static_cast<std::uint64_t>(StackSource::cache), pfn);
    }
    r.map_hands(r.g.a);
    r.boundary();
    r.g.thread(r.g.a).pend = 0;
    r.g.thread(r.g.a).source = StackSource::wait;
    r.set_irqs(true);
    r.boundary();  // between STI and the mark
    r.mark(Mark::wait_done, r.g.a, 1);
    r.exit(r.g.a);
    r.leave(r.g.a);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv15);
    EXPECT_EXAMINED(r, Inv::inv16);
}

TEST(Literal, NmiFromUserModeWithinItsPageIsClean) {
    for (const bool nothing_to_do : {false, true}) {
        Rig r;
        r.boot_to_user();
        r.on_cpu_stack(abi::CpuStack::nmi);
        r.stop(engine::LandedStop{Entry::nmi, true, true, ""});
        r.in_kernel(r.g.a, false, 4000);
        r.handler(Entry::nmi, true, nothing_to_do);
        r.leave(r.g.a);
        EXPECT_CLEAN(r);
        EXPECT_EXAMINED(r, Inv::inv9);
    }
}

TEST(Literal, NmiInsideEnterDoesNotConfuseTheLedger) {
    for (const bool nothing_to_do : {false, true}) {
        Rig r;
        r.boot_to_user();
        r.in_kernel(r.g.a);
        r.mark(Mark::enter_begin, r.g.a, 1);
        // Half-way through a move: in the hands and still in the cache.
        const std::uint32_t pfn = r.g.cpu().cache.pfn[2];
        FakeGuest::push(r.g.cpu().hands, pfn);
        r.on_cpu_stack(abi::CpuStack::nmi);
        r.stop(engine::LandedStop{Entry::nmi, true, true, ""});
        r.handler(Entry::nmi, false, nothing_to_do);
        EXPECT_CLEAN(r);
    }
}

TEST(Literal, TwoEntriesWithoutAStopInUserModeAreTwoVisits) {
    Rig r;
    r.boot_to_user();
    for (int i = 0; i < 2; ++i) {
        r.enter(r.g.a, Entry::timer);
        r.exit(r.g.a);
    }
    r.leave(r.g.a);
    EXPECT_CLEAN(r);
}

TEST(Literal, DeathReturnsEverything) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.set_irqs(false);
    r.mark(Mark::thread_exit, r.g.a, 0);
    r.g.thread(r.g.a).state = abi::ThreadState::dead;
    r.switch_to(r.g.a, idle0);
    r.g.cpu().hook_active = 1;
    for (unsigned i = 1; i <= 3; ++i) {
        const std::uint32_t pfn = r.g.pfn_of(r.g.a, i);
        r.g.page(r.g.a, i) = 0;
        FakeGuest::push(r.g.cpu().cache, pfn);
        r.mark(Mark::exit_pte, r.g.a, i, pfn);
    }
    r.g.cpu().hook_active = 0;
    const std::uint32_t top = r.g.pfn_of(r.g.a, 0);
    r.g.page(r.g.a, 0) = 0;
    r.g.free(top);
    r.g.thread(r.g.a).state = abi::ThreadState::unused;
    r.mark(Mark::stack_free, r.g.a, r.g.a);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv28);
    EXPECT_FALSE(r.oracle.facts().alive(ThreadId(r.g.a)));
}

TEST(Literal, FixedSchemeHasAllPagesForEverybody) {
    Rig r({.scheme = abi::Scheme::fixed});
    r.boot();
    r.switch_to(idle0, r.g.a);
    r.in_user(r.g.a);
    r.user_stop();
    r.in_kernel(r.g.a, true, 9000);
    r.mark(Mark::irq_on, r.g.a, 1);
    r.mark(Mark::syscall, r.g.a, 0, 1);
    r.leave(r.g.a);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv1);
    EXPECT_EQ(r.oracle.examined(Inv::inv11).evaluated, 0u);
}

TEST(Literal, DepthIsSortedIntoWindows) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.in_kernel(r.g.a, true, 12000);
    r.boundary();
    r.exit(r.g.a);
    bool found = false;
    for (const DepthSample& sample : r.oracle.depths()) {
        if (sample.entry == Entry::syscall64 && sample.window == Window::kernel) {
            EXPECT_EQ(sample.max_bytes, 12000u);
            found = true;
        }
        if (sample.entry == Entry::syscall64 && sample.window != Window::kernel) {
            EXPECT_EQ(sample.max_bytes, 400u);
        }
    }
    EXPECT_TRUE(found);
}

}  // namespace
}  // namespace stackrig::oracle::test
