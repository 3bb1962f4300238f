// LIVE-8 and I14: circles.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

abi::Op call(abi::Sys number, std::uint32_t arg) {
    return {abi::OpKind::call, number, abi::Via::syscall64, arg, 0, 0};
}

engine::ThreadPlan program(const char* name, std::vector<abi::Op> ops,
                           abi::ThreadKind kind = abi::ThreadKind::user) {
    return {.name = name, .kind = kind, .cpu = CpuId(0), .program = std::move(ops)};
}

/// A sleeps in the kernel with the last three pages, B waits for pages. `k`: what the kthread has still to
/// do.
Rig reader_and_writer(std::vector<abi::Op> a, abi::WaitKind a_waits, std::vector<abi::Op> b,
                      std::vector<abi::Op> k = {}) {
    Rig r({.cache = 3,
           .free = 0,
           .threads = {program("A", std::move(a)), program("B", std::move(b)),
                       program("K", std::move(k), abi::ThreadKind::kthread)}});
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.sleep(r.g.a, a_waits, 1);
    r.first_run(r.g.b);
    r.wait_for_pages(r.g.b);
    return r;
}

TEST(Live8, ReaderHoldsWhatTheWriterWaitsFor) {
    Rig r = reader_and_writer({call(abi::Sys::wait, 1)}, abi::WaitKind::event, {call(abi::Sys::wake, 1)});
    r.end(engine::Ending::quiet);
    EXPECT_ONLY(r, Inv::live8);
    EXPECT_EQ(r.violations[0].text,
              "Deadlock: A holds 3 frames and waits for event 1, which only B can wake; B waits for stack "
              "pages, which A has.");
    EXPECT_EQ(r.violations[0].threads, (std::vector{ThreadId(r.g.a), ThreadId(r.g.b)}));
}

TEST(Live8, SomebodyElseWillWakeTheReader) {
    Rig r = reader_and_writer({call(abi::Sys::wait, 1)}, abi::WaitKind::event, {call(abi::Sys::wake, 1)},
                              {call(abi::Sys::wake, 1)});
    r.end(engine::Ending::quiet);
    EXPECT_CLEAN(r);
}

TEST(Live8, TheWorldOutsideMayWakeTheReader) {
    Rig r = reader_and_writer({call(abi::Sys::wait, 1)}, abi::WaitKind::event, {call(abi::Sys::wake, 2)});
    r.end(engine::Ending::quiet);
    EXPECT_CLEAN(r);
}

TEST(Live8, EnoughPagesElsewhere) {
    Rig r = reader_and_writer({call(abi::Sys::wait, 1)}, abi::WaitKind::event, {call(abi::Sys::wake, 1)});
    for (std::uint32_t pfn = 0x500; pfn < 0x503; ++pfn) {
        r.g.frame(pfn).use = abi::FrameUse::stack;
        FakeGuest::push(r.g.cpu().cache, pfn);
    }
    r.end(engine::Ending::quiet);
    EXPECT_FALSE(r.fired(Inv::live8)) << r.all();
    EXPECT_FIRED(r, Inv::live1);
}

TEST(Live8, WaiterOwnsTheMutexThatTheHolderWants) {
    const std::vector<abi::Op> owner = {call(abi::Sys::lock, 1), call(abi::Sys::null, 0),
                                        call(abi::Sys::unlock, 1)};
    for (const std::uint32_t done : {0u, 1u, 3u}) {
        Rig r = reader_and_writer({call(abi::Sys::lock, 1)}, abi::WaitKind::mutex, owner);
        r.g.thread(r.g.b).user_page_pfn = 0x600;
        r.g.ram.at<abi::UserPage>(0x600 * abi::page_bytes).pc = done;
        r.end(engine::Ending::quiet);
        EXPECT_EQ(r.fired(Inv::live8), done == 1) << done << ": " << r.all();
    }
}

TEST(Live8, AWakeUpThatIsOverIsNone) {
    Rig r = reader_and_writer({call(abi::Sys::wait, 1)}, abi::WaitKind::event,
                              {call(abi::Sys::wake, 1), call(abi::Sys::null, 0)});
    r.g.thread(r.g.b).user_page_pfn = 0x600;
    r.g.ram.at<abi::UserPage>(0x600 * abi::page_bytes).pc = 1;
    r.end(engine::Ending::quiet);
    EXPECT_CLEAN(r);
}

TEST(Live8, AThreadThatRunsWillGiveItsPages) {
    Rig r = reader_and_writer({call(abi::Sys::wait, 1)}, abi::WaitKind::event, {call(abi::Sys::wake, 1)});
    r.g.thread(r.g.a).state = abi::ThreadState::runnable;
    r.end(engine::Ending::quiet);
    EXPECT_CLEAN(r);
}

TEST(Live8, ReaderHoldsWhatItsWakerWouldAllocate) {
    Rig r({.cache = 3,
           .free = 0,
           .threads = {program("A", {call(abi::Sys::wait, 1)}), program("B", {}),
                       program("K", {call(abi::Sys::wake, 1)}, abi::ThreadKind::kthread)}});
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.sleep(r.g.a, abi::WaitKind::event, 1);
    r.switch_to(idle0, r.g.k);
    r.sleep(r.g.k, abi::WaitKind::frame);
    r.end(engine::Ending::quiet);
    EXPECT_ONLY(r, Inv::live8);
    EXPECT_EQ(r.violations[0].text,
              "Deadlock: A holds 3 frames and waits for event 1, which only K can wake; K waits for a free page, and only A can free one.");
}

TEST(I14, CpusThatWaitForEachOther) {
    Rig r({.cpus = 2});
    r.boot();
    r.mark(Mark::relax, 0, static_cast<std::uint64_t>(abi::Spin::flush), 1, 0);
    r.mark(Mark::relax, 1, static_cast<std::uint64_t>(abi::Spin::flush), 0, 1);
    EXPECT_CLEAN(r);
    r.end(engine::Ending::deadlocked, 1);
    EXPECT_ONLY(r, Inv::i14);
    EXPECT_EQ(r.violations[0].text, "cpu0 (idle, IRQs off) spins for cpu1 to flush; cpu1 (idle, IRQs off) spins for cpu0 to flush: "
                                    "none of them can go on.");
}

TEST(I14, ACpuThatWaitsForAnotherToComeUpWhileThatOneWantsALock) {
    Rig r({.cpus = 2});
    r.boot();
    r.mark(Mark::relax, 0, static_cast<std::uint64_t>(abi::Spin::online), 1, 0);
    r.mark(Mark::relax, 1, static_cast<std::uint64_t>(abi::Spin::lock), 0x1234, 1);
    r.end(engine::Ending::deadlocked, 1);
    EXPECT_ONLY(r, Inv::i14);
    EXPECT_EQ(r.violations[0].text, "cpu0 (idle, IRQs off) spins for cpu1 to change state; cpu1 (idle, IRQs off) spins for lock 0x1234: "
                                    "none of them can go on.");
}

}  // namespace
}  // namespace stackrig::oracle::test
