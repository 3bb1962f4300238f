// CLASS-1 and CLASS-2: what entries do with IF against their rows of the class table.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

TEST(Class1, InterruptHandlerEnablesIrqs) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.set_irqs(true);
    r.boundary();
    EXPECT_ONLY(r, Inv::class1);
}

TEST(Class1, TheExitLoopMay) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::loop_begin, r.g.a, 1);
    r.set_irqs(true);
    r.mark(Mark::loop_irq_on, r.g.a, 1);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::class1);
}

TEST(Class1, WaitingInTheExitLoopIsStillExitWork) {
    Rig r({.policies = {.repair = abi::Repair::give_back, .cache_cap = abi::stash_capacity}});
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::loop_begin, r.g.a, 1);
    r.set_irqs(true);
    r.mark(Mark::loop_irq_on, r.g.a, 1);
    r.mark(Mark::wait_begin, r.g.a, static_cast<std::uint64_t>(Entry::timer));
    EXPECT_FALSE(r.fired(Inv::class1)) << r.all();
}

TEST(Class1, ASoftirqMay) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::device);
    r.g.cpu().in_softirq = 1;
    r.set_irqs(true);
    r.boundary();
    EXPECT_CLEAN(r);
}

TEST(Class1, ConditionalEntryFollowsTheInterruptedContext) {
    for (const bool on : {false, true}) {
        Rig r;
        r.boot_to_user();
        r.set_irqs(on);
        r.user_stop();
        r.enter(r.g.a, Entry::general_protection);
        r.irq_on(r.g.a, Entry::general_protection);
        EXPECT_EQ(r.fired(Inv::class1), !on) << r.all();
    }
}

TEST(Class2, SystemCallThatNeverEnablesThem) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.exit(r.g.a);
    EXPECT_ONLY(r, Inv::class2);
}

TEST(Class2, EnabledOnlyInTheExitLoopIsTooLate) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.mark(Mark::loop_begin, r.g.a, 1);
    EXPECT_ONLY(r, Inv::class2);
}

TEST(Class2, EnabledInTimeIsFine) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.exit(r.g.a);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::class2);
}

TEST(Class2, BailingOutIsTheScenariosWish) {
    for (const std::uint32_t bail_outs : {0u, 1u << static_cast<unsigned>(Entry::page_fault)}) {
        Rig r({.bail_outs = bail_outs});
        r.boot_to_user();
        r.enter(r.g.a, Entry::page_fault);
        r.exit(r.g.a);
        EXPECT_EQ(r.fired(Inv::class2), bail_outs == 0) << r.all();
    }
}

}  // namespace
}  // namespace stackrig::oracle::test
