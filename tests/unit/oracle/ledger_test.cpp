// INV-4 and INV-14: frames in two places, in none, and in the wrong one.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

TEST(Inv4, FrameMappedTwice) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.g.page(r.g.a, 3) = r.g.page(r.g.a, 2);
    r.boundary();
    EXPECT_FIRED(r, Inv::inv4);
}

TEST(Inv4, FrameInCacheAndMapped) {
    Rig r;
    r.boot();
    FakeGuest::push(r.g.cpu().cache, r.g.pfn_of(r.g.a, 0));
    r.boundary();
    EXPECT_ONLY(r, Inv::inv4);
}

TEST(Inv4, FrameInTwoReserves) {
    Rig r({.cpus = 2});
    r.boot();
    FakeGuest::push(r.g.cpu(1).reserve, r.g.cpu(0).reserve.pfn[0]);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv4);
}

TEST(Inv4, FrameOnTheFreeListAndInACache) {
    Rig r;
    r.boot();
    FakeGuest::push(r.g.cpu().cache, r.g.state().free_head);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv4);
}

TEST(Inv4, FreeFrameInTheHandsAtRest) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.a, 1);
    FakeGuest::push(r.g.cpu().hands, r.g.state().free_head);
    r.boundary();
    EXPECT_CLEAN(r);  // in the middle of a move
    r.mark(Mark::syscall, r.g.a, 0, 1);
    EXPECT_FIRED(r, Inv::inv4);
}

TEST(Inv4, FrameInTheHandsTwice) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.a, 1);
    const std::uint32_t pfn = FakeGuest::pop(r.g.cpu().cache);
    FakeGuest::push(r.g.cpu().hands, pfn);
    r.boundary();
    EXPECT_CLEAN(r);
    FakeGuest::push(r.g.cpu().hands, pfn);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv4);
    EXPECT_EQ(r.violations[0].text, "Frame 0x40c is in the hands of a hook twice.");
}

TEST(Inv4, FrameInACacheAndHandedToAWaiterOrInThePool) {
    Rig granted;
    granted.boot();
    granted.g.thread(granted.g.a).grant[0] = granted.g.cpu().cache.pfn[0];
    granted.g.thread(granted.g.a).granted = 1;
    granted.boundary();
    EXPECT_ONLY(granted, Inv::inv4);
    EXPECT_EQ(granted.violations[0].text, "Frame 0x40a is in the cache of cpu0 and in what was handed to A at once.");

    Rig pooled;
    pooled.boot();
    FakeGuest::push(pooled.g.state().pool, pooled.g.cpu().cache.pfn[0]);
    pooled.boundary();
    EXPECT_ONLY(pooled, Inv::inv4);
    EXPECT_EQ(pooled.violations[0].text, "Frame 0x40a is in the cache of cpu0 and in the pool of all CPUs at once.");
}

TEST(Inv4, LostFrame) {
    Rig r;
    r.boot_to_user();
    FakeGuest::pop(r.g.cpu().cache);
    r.boundary();
    EXPECT_CLEAN(r);  // one may be in a register between two instructions
    EXPECT_EQ(r.oracle.facts().leaked(), 0u);
    r.user_stop();
    EXPECT_EQ(r.oracle.facts().leaked(), 1u);
    EXPECT_ONLY(r, Inv::inv4);
}

TEST(Inv4, TwoLostFramesAreNoMoveInFlight) {
    Rig r;
    r.boot();
    FakeGuest::pop(r.g.cpu().cache);
    FakeGuest::pop(r.g.cpu().cache);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv4);
}

TEST(Inv4, FreeFrameThatIsOnNoList) {
    Rig r;
    r.boot();
    const std::uint32_t head = r.g.state().free_head;
    r.g.state().free_head = r.g.frame(head).next;
    --r.g.state().free_count;
    r.mark(Mark::idle, 0);
    EXPECT_ONLY(r, Inv::inv4);
}

TEST(Inv4, StackFrameWithAnotherLabel) {
    Rig r;
    r.boot();
    r.g.frame(r.g.cpu().cache.pfn[0]).use = abi::FrameUse::kernel;
    r.boundary();
    EXPECT_CLEAN(r);  // labels are compared at rest only
    r.mark(Mark::idle, 0);
    EXPECT_ONLY(r, Inv::inv4);
}

TEST(Inv4, LabelsWaitForEveryCpuThatStandsBetweenTwoInstructionsOfTheKernel) {
    constexpr std::uint32_t idle1 = 1;
    Rig r({.cpus = 2});
    r.boot();
    r.g.frame(r.g.cpu(1).cache.pfn[0]).use = abi::FrameUse::kernel;  // cpu1 is about to write the label
    r.in_kernel(idle1, false, 400, 1);
    r.boundary(1);
    r.mark(Mark::relax, 0);
    EXPECT_CLEAN(r);
    r.mark(Mark::idle, 0, 0, 0, 1);
    EXPECT_FIRED(r, Inv::inv4);
}

TEST(Inv4, FrameTakenForTheKernelAndKept) {
    Rig r;
    r.boot();
    (void)r.g.alloc(abi::FrameUse::kernel);
    r.boundary();
    EXPECT_CLEAN(r);  // on its way
    r.mark(Mark::idle, 0);
    EXPECT_ONLY(r, Inv::inv4);
    EXPECT_NE(r.all().find("one has leaked"), std::string::npos) << r.all();
}

TEST(Inv4, FrameOfTheKernelThatIsGivenAway) {
    Rig r;
    const std::uint32_t pfn = r.g.alloc(abi::FrameUse::kernel);
    r.boot();
    r.mark(Mark::idle, 0);
    EXPECT_CLEAN(r);
    r.g.free(pfn);
    r.mark(Mark::idle, 0);
    EXPECT_ONLY(r, Inv::inv4);
    EXPECT_NE(r.all().find("one has been given away"), std::string::npos) << r.all();
}

TEST(Inv4, FramesThatAWaiterHoldsInsideTheAllocator) {
    Rig r({.cache = 0, .policies = {.wait = abi::Wait::itself}});
    r.boot_to_user();
    r.alloc_denied = true;
    r.wait_for_pages(r.g.a);
    EXPECT_CLEAN(r);
    for (int held = 1; held <= 2; ++held) {
        (void)r.g.alloc(abi::FrameUse::kernel);
        r.mark(Mark::idle, 0);
        EXPECT_CLEAN(r);
    }
    (void)r.g.alloc(abi::FrameUse::kernel);
    r.mark(Mark::idle, 0);
    EXPECT_ONLY(r, Inv::inv4);
}

TEST(Inv4, FramesLeftInTheHandsWithoutAHook) {
    Rig r;
    r.boot_to_user();
    FakeGuest::push(r.g.cpu().hands, FakeGuest::pop(r.g.cpu().cache));
    r.user_stop();
    EXPECT_ONLY(r, Inv::inv4);
}

TEST(Inv4, HoggedFramesAreAccountedFor) {
    Rig r;
    r.boot();
    abi::Thread& k = r.g.thread(r.g.k);
    k.hogged[k.hogged_count++] = r.g.alloc(abi::FrameUse::hogged);
    r.mark(Mark::idle, 0);
    EXPECT_CLEAN(r);
    FakeGuest::push(r.g.cpu().cache, k.hogged[0]);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv4);
}

/// EXIT of A with one frame going to `where` instead of the cache.
void exit_astray(Rig& r, const std::function<void(std::uint32_t)>& where) {
    r.irq_on(r.g.a, Entry::syscall64);
    r.in_kernel(r.g.a);
    r.mark(Mark::exit_begin, r.g.a);
    for (unsigned i = 1; i <= 3; ++i) {
        const std::uint32_t pfn = r.g.pfn_of(r.g.a, i);
        r.g.page(r.g.a, i) = 0;
        if (i == 2) {
            where(pfn);
        } else {
            FakeGuest::push(r.g.cpu().cache, pfn);
        }
        r.mark(Mark::exit_pte, r.g.a, i, pfn);
    }
    r.g.thread(r.g.a).source = StackSource::none;
    r.mark(Mark::exit_done, r.g.a);
}

TEST(Inv14, FrameReturnedToAnotherCpusCache) {
    Rig r({.cpus = 2});
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    exit_astray(r, [&](std::uint32_t pfn) { FakeGuest::push(r.g.cpu(1).cache, pfn); });
    EXPECT_ONLY(r, Inv::inv14);
}

TEST(Inv14, FrameFreedWhileTheCacheHasRoom) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    exit_astray(r, [&](std::uint32_t pfn) { r.g.free(pfn); });
    EXPECT_ONLY(r, Inv::inv14);
}

TEST(Inv14, CachePageGivenToTheReserve) {
    Rig r({.reserve = 2});
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    exit_astray(r, [&](std::uint32_t pfn) { FakeGuest::push(r.g.cpu().reserve, pfn); });
    EXPECT_FIRED(r, Inv::inv14);
}

TEST(Inv14, AllInTheCacheIsFine) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    exit_astray(r, [&](std::uint32_t pfn) { FakeGuest::push(r.g.cpu().cache, pfn); });
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv14);
}

}  // namespace
}  // namespace stackrig::oracle::test
