// INV-6, 7, 18, ASM-1: the order of the sources and whose pages are taken.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

constexpr auto timer = static_cast<std::uint64_t>(Entry::timer);
constexpr auto syscall64 = static_cast<std::uint64_t>(Entry::syscall64);

void begin(Rig& r, std::uint64_t entry) {
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.a, entry);
}

void take(Rig& r, std::uint32_t pfn, StackSource source) {
    FakeGuest::push(r.g.cpu().hands, pfn);
    r.mark(Mark::enter_take, r.g.a, static_cast<std::uint64_t>(source), pfn);
}

TEST(Inv6, AllocatorBeforeTheCacheIsEmpty) {
    Rig r;
    begin(r, syscall64);
    take(r, r.g.alloc(abi::FrameUse::stack), StackSource::nowait);
    EXPECT_ONLY(r, Inv::inv6);
}

TEST(Inv6, ReserveBeforeTheAllocatorFailed) {
    Rig r({.cache = 0});
    begin(r, timer);
    take(r, FakeGuest::pop(r.g.cpu().reserve), StackSource::reserve);
    EXPECT_ONLY(r, Inv::inv6);
}

TEST(Inv6, ReserveAfterADeniedAllocationIsFine) {
    Rig r({.cache = 0});
    r.boot_to_user();
    r.alloc_denied = true;  // although pages are free
    r.enter(r.g.a, Entry::timer);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv6);
}

TEST(Inv6, OwedAlthoughTheCacheHadPages) {
    Rig r;
    begin(r, syscall64);
    r.g.thread(r.g.a).pend = 1;
    r.mark(Mark::enter_done, r.g.a, syscall64, 1);
    EXPECT_ONLY(r, Inv::inv6);
}

TEST(Inv6, OwedAlthoughTheAllocatorWasNotAsked) {
    Rig r({.cache = 0, .free = 0});
    begin(r, syscall64);
    r.g.thread(r.g.a).pend = 1;
    r.mark(Mark::enter_done, r.g.a, syscall64, 1);
    EXPECT_ONLY(r, Inv::inv6);
}

TEST(Inv6, AsIfAfterAWaitThatWasNone) {
    Rig r({.cache = 0});
    begin(r, syscall64);
    take(r, r.g.alloc(abi::FrameUse::stack), StackSource::wait);
    EXPECT_ONLY(r, Inv::inv6);
    EXPECT_EQ(r.violations[0].text, "A takes frame 0x412 from wait although the thread has not waited.");
}

TEST(Inv6, FailureOfAnEarlierEntryIsNoExcuse) {
    Rig r({.cache = 0, .free = 3});
    r.boot_to_user();
    r.alloc_denied = true;
    r.enter(r.g.a, Entry::timer);
    r.exit(r.g.a);
    r.leave(r.g.a);
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.a, timer);
    take(r, FakeGuest::pop(r.g.cpu().reserve), StackSource::reserve);
    EXPECT_ONLY(r, Inv::inv6);
}

/// A pool of three pages, and A short of pages in ENTER.
void begin_short(Rig& r) {
    for (int i = 0; i < 3; ++i) {
        FakeGuest::push(r.g.state().pool, r.g.alloc(abi::FrameUse::stack));
    }
    begin(r, timer);
}

TEST(Inv6, ThePoolBeforeTheReserveIsEmpty) {
    const test::Setup shared{.cache = 0, .policies = {.repair = abi::Repair::global_pool, .cache_cap = abi::stash_capacity, .pool_pages = 3}};
    Rig r(shared);
    begin_short(r);
    take(r, FakeGuest::pop(r.g.state().pool), StackSource::pool);
    EXPECT_ONLY(r, Inv::inv6);
    EXPECT_TRUE(r.violations[0].text.ends_with(" from pool although the reserve of cpu0 still holds 3 pages.")) << r.violations[0].text;
}

TEST(Inv6, ThePoolThatIsSetAsideForTheDying) {
    const test::Setup emergency{.cache = 0, .policies = {.kill = abi::Kill::emergency, .cache_cap = abi::stash_capacity, .pool_pages = 3}};
    Rig living(emergency);
    begin_short(living);
    take(living, FakeGuest::pop(living.g.state().pool), StackSource::pool);
    EXPECT_ONLY(living, Inv::inv6);
    EXPECT_TRUE(living.violations[0].text.ends_with(" from pool although it is set aside for the dying, and no SIGKILL is pending.")) << living.violations[0].text;
    Rig dying(emergency);
    begin_short(dying);
    dying.g.thread(dying.g.a).signal = abi::sigkill;
    take(dying, FakeGuest::pop(dying.g.state().pool), StackSource::pool);
    EXPECT_CLEAN(dying);
}

TEST(Inv7, PageFromAnotherCpusCache) {
    Rig r({.cpus = 2});
    begin(r, syscall64);
    take(r, FakeGuest::pop(r.g.cpu(1).cache), StackSource::cache);
    EXPECT_ONLY(r, Inv::inv7);
}

TEST(Inv7, MarkThatLiesAboutTheSource) {
    Rig r;
    begin(r, timer);
    take(r, FakeGuest::pop(r.g.cpu().reserve), StackSource::cache);
    EXPECT_ONLY(r, Inv::inv7);
}

TEST(Inv7, PageThatIsNotInTheHands) {
    Rig r;
    begin(r, syscall64);
    r.mark(Mark::enter_take, r.g.a, static_cast<std::uint64_t>(StackSource::cache), r.g.cpu().cache.pfn[2]);
    EXPECT_ONLY(r, Inv::inv7);
}

TEST(Inv7, OwnCacheIsFine) {
    Rig r({.cpus = 2});
    begin(r, syscall64);
    take(r, FakeGuest::pop(r.g.cpu(0).cache), StackSource::cache);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv7);
}

TEST(Inv18, SyscallOnTheReserve) {
    Rig r({.cache = 0, .free = 0});
    begin(r, syscall64);
    r.stop(engine::ChoiceStop{abi::Choice::alloc, {0, r.g.a}, 1});
    take(r, FakeGuest::pop(r.g.cpu().reserve), StackSource::reserve);
    EXPECT_ONLY(r, Inv::inv18);
}

TEST(Inv18, TimerOnTheReserveIsFine) {
    Rig r({.cache = 0, .free = 0});
    begin(r, timer);
    r.stop(engine::ChoiceStop{abi::Choice::alloc, {0, r.g.a}, 1});
    take(r, FakeGuest::pop(r.g.cpu().reserve), StackSource::reserve);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv18);
}

TEST(Asm1, Int80EnablesIrqs) {
    Rig note;
    note.boot_to_user();
    note.enter(note.g.a, Entry::int80);
    note.irq_on(note.g.a, Entry::int80);
    EXPECT_CLEAN(note);
    ASSERT_EQ(note.oracle.notes().size(), 1u);
    EXPECT_EQ(note.oracle.notes()[0].id, "ASM-1");

    Rig expected({}, "asm-1");
    expected.boot_to_user();
    expected.enter(expected.g.a, Entry::int80);
    expected.irq_on(expected.g.a, Entry::int80);
    EXPECT_ONLY(expected, Inv::asm1);
}

TEST(Asm1, SyscallEnablesIrqsRightly) {
    Rig r({}, "ASM-1");
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::asm1);
}

}  // namespace
}  // namespace stackrig::oracle::test
