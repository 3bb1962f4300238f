// INV-15 and INV-16: who may sleep, and on how many pages.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

constexpr auto mutex = static_cast<std::uint64_t>(abi::WaitKind::mutex);
constexpr auto syscall64 = static_cast<std::uint64_t>(Entry::syscall64);

TEST(Inv15, SleepBeforeIrqsWereEnabled) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.mark(Mark::sleep, r.g.a, mutex, 0);
    EXPECT_ONLY(r, Inv::inv15);
}

TEST(Inv15, SleepAfterwardsIsFineEvenWithIrqsOffForTheQueue) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.set_irqs(false);
    r.mark(Mark::sleep, r.g.a, mutex, 0);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv15);
}

TEST(Inv15, IrqsOnInAnEarlierEntryDoNotCount) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.exit(r.g.a);
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::sleep, r.g.a, mutex, 0);
    EXPECT_ONLY(r, Inv::inv15);
}

TEST(Inv15, WaitThatComesBackWithIrqsOff) {
    for (const bool on : {false, true}) {
        Rig r({.cache = 0});
        r.boot_to_user();
        r.alloc_denied = true;
        r.enter(r.g.a, Entry::syscall64);
        r.irq_on(r.g.a, Entry::syscall64);
        r.mark(Mark::wait_begin, r.g.a, syscall64);
        r.set_irqs(on);
        r.mark(Mark::wait_done, r.g.a, syscall64);
        EXPECT_EQ(r.fired(Inv::inv15), !on) << r.all();
    }
}

TEST(Inv15, ExitLoopCountsAsEnabled) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::loop_begin, r.g.a, 1);
    r.set_irqs(true);
    r.mark(Mark::loop_irq_on, r.g.a, 1);
    r.mark(Mark::sleep, r.g.a, mutex, 0);
    EXPECT_CLEAN(r);
}

TEST(Inv15, SleepWithPreemptionOffOrInAnInterrupt) {
    for (const bool interrupt : {false, true}) {
        Rig r;
        r.boot_to_user();
        r.enter(r.g.a, Entry::syscall64);
        r.irq_on(r.g.a, Entry::syscall64);
        (interrupt ? r.g.cpu().irq_nesting : r.g.cpu().preempt_count) = 1;
        r.mark(Mark::sleep, r.g.a, mutex, 0);
        EXPECT_ONLY(r, Inv::inv15);
    }
}

TEST(Inv15, WaitForPagesWithIrqsOff) {
    Rig r({.cache = 0, .free = 0});
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.mark(Mark::wait_begin, r.g.a, syscall64);
    EXPECT_ONLY(r, Inv::inv15);
}

TEST(Inv15, WaitForPagesByAnEntryOutsideTheList) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::int80);
    r.irq_on(r.g.a, Entry::int80);
    r.mark(Mark::wait_begin, r.g.a, static_cast<std::uint64_t>(Entry::int80));
    EXPECT_FIRED(r, Inv::inv15);
}

void wait_asleep(Rig& r) {
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.mark(Mark::wait_begin, r.g.a, syscall64);
    r.set_irqs(false);
    r.g.thread(r.g.a).state = abi::ThreadState::blocked;
    r.mark(Mark::sleep, r.g.a, static_cast<std::uint64_t>(abi::WaitKind::pages), 0);
}

TEST(Inv16, SleepsWithAPageMapped) {
    Rig r({.cache = 1, .free = 0});
    wait_asleep(r);
    r.switch_to(r.g.a, idle0);
    EXPECT_CLEAN(r);
    r.g.map(r.g.a, 1, FakeGuest::pop(r.g.cpu().cache));
    r.boundary();
    EXPECT_ONLY(r, Inv::inv16);
}

TEST(Inv16, WaitsDeeperThanItsPage) {
    Rig r({.cache = 0, .free = 0});
    wait_asleep(r);
    r.in_kernel(r.g.a, false, 4096);
    r.boundary();
    EXPECT_CLEAN(r);
    r.in_kernel(r.g.a, false, 4104);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv16);
}

TEST(Inv16, FaultWhileOwed) {
    Rig r({.cache = 0, .free = 0});
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.on_cpu_stack(abi::CpuStack::df);
    r.cpus[0].cr2 = Gva(abi::stack_page(r.g.a, 1) + 8);
    r.mark(Mark::handler_begin, static_cast<std::uint64_t>(Entry::double_fault), 0);
    EXPECT_ONLY(r, Inv::inv16);
}

}  // namespace
}  // namespace stackrig::oracle::test
