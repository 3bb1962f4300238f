// INV-8, 9, 10, 12, 13, 30, 31, I4, I5: hooks undisturbed and once each, and no window deeper than its pages.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

constexpr auto timer = static_cast<std::uint64_t>(Entry::timer);
constexpr auto syscall64 = static_cast<std::uint64_t>(Entry::syscall64);
constexpr auto nmi = static_cast<std::uint64_t>(Entry::nmi);
constexpr auto double_fault = static_cast<std::uint64_t>(Entry::double_fault);

void begin_enter(Rig& r) {
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.a, syscall64);
}

TEST(Inv8, IrqsOnInsideEnter) {
    Rig r;
    begin_enter(r);
    r.set_irqs(true);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv8);
}

TEST(Inv8, IrqsOnRightAfterEnterIsFine) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.set_irqs(true);
    r.boundary();
    EXPECT_CLEAN(r);
}

TEST(Inv8, IrqsOnWhileAPteIsCleared) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.in_kernel(r.g.a, true);
    r.mark(Mark::exit_begin, r.g.a);
    EXPECT_ONLY(r, Inv::inv8);
}

TEST(Inv8, ScheduledInsideAHook) {
    Rig r;
    begin_enter(r);
    r.mark(Mark::switch_to, r.g.a, r.g.b);
    EXPECT_ONLY(r, Inv::inv8);
}

TEST(Inv8, MigratedInsideAHook) {
    Rig r({.cpus = 2});
    begin_enter(r);
    r.in_kernel(idle0, false, 64, 0);
    r.g.cpu(0).current = FakeGuest::thread_pointer(idle0);
    r.g.cpu(1).current = FakeGuest::thread_pointer(r.g.a);
    r.in_kernel(r.g.a, false, 400, 1);
    r.boundary(1);
    EXPECT_ONLY(r, Inv::inv8);
}

TEST(Inv9, EnterTwice) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.mark(Mark::enter_begin, r.g.a, syscall64);
    EXPECT_FIRED(r, Inv::inv9);
}

TEST(Inv9, EntryThatSkipsEnter) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::irq_on, r.g.a, syscall64);
    EXPECT_ONLY(r, Inv::inv9);
}

TEST(Inv9, HandlerThatEndsWithoutEnter) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::handler_begin, timer, 1);
    EXPECT_CLEAN(r);  // the hook may still come
    r.mark(Mark::handler_end, timer, 1);
    EXPECT_ONLY(r, Inv::inv9);
}

TEST(Inv9, NmiFromUserModeDeeperThanItsPage) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a, false, 300);
    r.mark(Mark::handler_begin, nmi, 1);
    r.in_kernel(r.g.a, false, 4104);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv9);
}

TEST(Inv9, NmiFromUserModeDoubleFaultsOnTheMissingPage) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a, false, 300);
    r.mark(Mark::handler_begin, nmi, 1);
    r.on_cpu_stack(abi::CpuStack::df);
    r.cpus[0].cr2 = Gva(abi::stack_page(r.g.a, 1) + 4088);
    r.mark(Mark::handler_begin, double_fault, 0);
    EXPECT_ONLY(r, Inv::inv9);
}

TEST(Inv9, HookInsideAnNmi) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a, false, 300);
    r.mark(Mark::handler_begin, nmi, 1);
    r.mark(Mark::enter_begin, r.g.a, nmi);
    EXPECT_ONLY(r, Inv::inv9);
}

TEST(Inv10, ReturnWithoutExit) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.in_user(r.g.a);
    r.user_stop();
    EXPECT_FIRED(r, Inv::inv10);
}

TEST(Inv10, FirstReturnWithoutExit) {
    Rig r;
    r.boot();
    r.switch_to(idle0, r.g.a);
    r.in_user(r.g.a);
    r.user_stop();
    EXPECT_ONLY(r, Inv::inv10);
}

TEST(Inv10, ExitTwice) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.exit(r.g.a);
    r.exit(r.g.a);
    EXPECT_ONLY(r, Inv::inv10);
}

TEST(Inv10, ExitThatLeavesAPageMapped) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::exit_begin, r.g.a);
    for (unsigned i = 1; i <= 2; ++i) {
        FakeGuest::push(r.g.cpu().cache, r.g.pfn_of(r.g.a, i));
        r.g.page(r.g.a, i) = 0;
    }
    r.mark(Mark::exit_done, r.g.a);
    EXPECT_FIRED(r, Inv::inv10);
}

TEST(Inv10, NmiNeedsNoExit) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a, false, 300);
    r.mark(Mark::handler_begin, nmi, 1);
    r.in_user(r.g.a);
    r.user_stop();
    EXPECT_CLEAN(r);
}

TEST(Inv12, EntryDeeperThanAPageBeforeEnter) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a, false, 4096);
    r.boundary();
    EXPECT_CLEAN(r);
    r.in_kernel(r.g.a, false, 4104);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv12);
}

TEST(Inv12, FaultInsideEnter) {
    Rig r;
    begin_enter(r);
    r.on_cpu_stack(abi::CpuStack::df);
    r.cpus[0].cr2 = Gva(abi::stack_page(r.g.a, 1) + 100);
    r.mark(Mark::handler_begin, double_fault, 0);
    EXPECT_ONLY(r, Inv::inv12);
}

TEST(Inv13, DeepAfterExit) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.exit(r.g.a);
    r.in_kernel(r.g.a, false, 4096);
    r.boundary();
    EXPECT_CLEAN(r);
    r.in_kernel(r.g.a, false, 5000);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv13);
}

TEST(Inv13, ExitThatBeginsDeep) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.in_kernel(r.g.a, false, 5000);
    r.mark(Mark::exit_begin, r.g.a);
    EXPECT_ONLY(r, Inv::inv13);
}

TEST(Inv30, FirstRunDeeperThanItsPage) {
    Rig r;
    r.boot();
    r.switch_to(idle0, r.g.a);
    r.in_kernel(r.g.a, true, 4000);
    r.boundary();
    EXPECT_CLEAN(r);
    r.in_kernel(r.g.a, true, 5000);
    r.boundary();
    EXPECT_ONLY(r, Inv::inv30);
}

TEST(Inv31, HookInsideAKernelNmi) {
    Rig r;
    begin_enter(r);
    r.on_cpu_stack(abi::CpuStack::nmi);
    r.mark(Mark::handler_begin, nmi, 0);
    r.mark(Mark::exit_begin, r.g.a);
    EXPECT_FIRED(r, Inv::inv31);
}

TEST(Inv31, HookByWhatAKernelDebugExceptionRunsBeforeItsHandler) {
    enum class Handled { no, at_length, in_short };
    for (const Handled handled : {Handled::no, Handled::at_length, Handled::in_short}) {
        Rig r;
        r.boot_to_user();
        r.in_kernel(r.g.a);
        r.boundary();  // entered, ENTER still to come
        r.stop(engine::LandedStop{.entry = Entry::debug, .from_user = false, .exact = true, .detail = ""});
        if (handled != Handled::no) {
            r.handler(Entry::debug, false, handled == Handled::in_short);
        }
        r.mark(Mark::enter_begin, r.g.a, static_cast<std::uint64_t>(Entry::syscall64));
        EXPECT_EQ(r.fired(Inv::inv31), handled == Handled::no) << r.all();
    }
}

TEST(Inv31, HookInsideAnotherThreadsHook) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::exit_begin, r.g.a);
    r.in_kernel(r.g.b);
    r.mark(Mark::exit_begin, r.g.b);
    EXPECT_FIRED(r, Inv::inv31);
}

TEST(Inv31, HooksOnTwoCpusAtOnceAreFine) {
    Rig r({.cpus = 2});
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::exit_begin, r.g.a);
    r.g.cpu(1).current = FakeGuest::thread_pointer(r.g.b);
    r.in_kernel(r.g.b, false, 300, 1);
    r.mark(Mark::switched, 1, r.g.b, 0, 1);
    r.mark(Mark::exit_begin, r.g.b, 0, 0, 1);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv31);
}

TEST(I4, StackPointerInNoStack) {
    Rig r;
    r.boot();
    r.cpus[0].rsp = Gva(abi::direct_map_base + 0x9000);
    r.boundary();
    EXPECT_ONLY(r, Inv::i4);
}

TEST(I4, AnotherCpusStack) {
    Rig r({.cpus = 2});
    r.boot();
    r.cpus[0].rsp = Gva(abi::cpu_stack_top(1, abi::CpuStack::irq) - 64);
    r.boundary();
    EXPECT_ONLY(r, Inv::i4);
    Rig own({.cpus = 2});
    own.boot();
    own.cpus[0].rsp = Gva(abi::cpu_stack_top(0, abi::CpuStack::irq) - 64);
    own.boundary();
    EXPECT_CLEAN(own);
}

TEST(I4, UserStackPointerInTheKernelOnlyWithIrqsOff) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.cpus[0].rsp = Gva(abi::user_stack_va + 0x800);  // first instruction of the SYSCALL entry
    r.boundary();
    EXPECT_CLEAN(r);
    r.set_irqs(true);
    r.boundary();
    EXPECT_ONLY(r, Inv::i4);
}

TEST(I4, NoRoomForTheNextInterrupt) {
    Rig r;
    r.boot();
    r.switch_to(idle0, r.g.k);
    r.in_kernel(r.g.k, true, abi::thread_size - 64);
    r.boundary();
    EXPECT_CLEAN(r);
    r.in_kernel(r.g.k, true, abi::thread_size - 16);
    r.boundary();
    EXPECT_ONLY(r, Inv::i4);
}

TEST(I4, SleeperWhoseStackIsGoneUnderIt) {
    Rig r;
    r.boot();
    r.g.thread(r.g.b).saved_rsp = abi::stack_top(r.g.b) - 5000;
    r.boundary();
    EXPECT_CLEAN(r);  // only where data is at rest
    r.mark(Mark::idle, 0);
    EXPECT_ONLY(r, Inv::i4);
}

TEST(I5, DoubleFaultForAnotherReason) {
    Rig r;
    r.boot_to_user();
    r.on_cpu_stack(abi::CpuStack::df);
    r.cpus[0].cr2 = Gva(0x1000);
    r.mark(Mark::handler_begin, double_fault, 0);
    EXPECT_ONLY(r, Inv::i5);
}

TEST(I5, PageFaultOnAnotherThreadsMissingPage) {
    Rig r;
    r.boot();
    r.switch_to(idle0, r.g.k);
    r.cpus[0].cr2 = Gva(abi::stack_page(r.g.b, 2));
    r.mark(Mark::handler_begin, static_cast<std::uint64_t>(Entry::page_fault), 0);
    EXPECT_ONLY(r, Inv::i5);
}

TEST(I5, UserFaultWithAStackAddressIsTheUsersAffair) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::page_fault);
    r.cpus[0].cr2 = Gva(abi::stack_page(r.g.b, 2));
    r.mark(Mark::handler_begin, static_cast<std::uint64_t>(Entry::page_fault), 1);
    EXPECT_CLEAN(r);
}

}  // namespace
}  // namespace stackrig::oracle::test
