// Events and single-step: what KVM delivers, where, and that libkvm's ways in and out keep it exact.
#include <array>

#include "tests/kvm/fixture.hpp"
#include "vmm/host/bare_guest.hpp"

namespace stackrig::test {
namespace {

using host::BareGuest;
using kvm::Exit;

using EventTest = KvmTest;

constexpr std::uint64_t code_at = BareGuest::kernel_code.value();
constexpr std::uint64_t flag_tf = 0x100;
constexpr std::uint64_t flag_if = 0x200;

BareGuest kernel_guest(std::span<const std::uint8_t> code) {
    BareGuest guest = must(BareGuest::create(KvmTest::system()));
    must(guest.start_kernel(code));
    return guest;
}

// Runs into the handler of `vector` and gives what the CPU pushed on top (RIP, or the error code).
std::uint64_t pushed_by(BareGuest& guest, std::uint8_t vector) {
    const Exit exit = must(guest.cpu().run(ample));
    EXPECT_EQ(exit, Exit(kvm::Hlt{})) << describe(exit);
    EXPECT_EQ(must(guest.halted_in()), Vector(vector));
    return must(guest.memory().read<std::uint64_t>(Gpa(must(guest.cpu().regs()).rsp)));
}

std::uint64_t step(BareGuest& guest) {
    must(guest.cpu().arm_single_step());
    const Exit exit = must(guest.cpu().run(ample));
    const auto* debug = std::get_if<kvm::Debug>(&exit);
    EXPECT_NE(debug, nullptr) << describe(exit);
    const std::uint64_t rip = must(guest.cpu().regs()).rip;
    if (debug != nullptr) {
        EXPECT_EQ(debug->exception, 1U);
        EXPECT_EQ(debug->pc, Gva(rip));
    }
    return rip;
}

GUEST_CODE(five, ".code64", R"(
    nop                 # 0
    mov eax, 7          # 1
    push rax            # 6
    out 0x80, al        # 7
    in al, 0x92         # 9
    nop                 # 11
    hlt                 # 12
)");

TEST_F(EventTest, SingleStepVisitsEachBoundary) {
    BareGuest guest = kernel_guest(five);
    EXPECT_EQ(step(guest), code_at + 1);
    EXPECT_EQ(step(guest), code_at + 6);
    EXPECT_EQ(step(guest), code_at + 7);
}

// Completing the I/O makes KVM report the step; reported twice, or not at all, the stepper would lose a
// boundary.
TEST_F(EventTest, ASteppedOutOrInIsOneStopBehindTheInstruction) {
    BareGuest guest = kernel_guest(five);
    for (int i = 0; i < 3; ++i) {
        step(guest);
    }
    must(guest.cpu().arm_single_step());
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::IoOut{0x80, 1, 1, 7, {}}));
    EXPECT_EQ(must(guest.cpu().regs()).rip, code_at + 9);
    must(guest.cpu().arm_single_step());
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::IoIn{0x92, 1, 1}));
    must(guest.cpu().complete_io_in(3));
    EXPECT_EQ(must(guest.cpu().regs()).rip, code_at + 11);
    EXPECT_EQ(step(guest), code_at + 12);
}

// F5: KVM ties TF to the RIP of the last KVM_SET_GUEST_DEBUG.
TEST_F(EventTest, ArmedAfterMovingRipItStepsFromThere) {
    BareGuest guest = kernel_guest(five);
    step(guest);
    auto regs = must(guest.cpu().regs());
    regs.rip = code_at + 11;
    must(guest.cpu().set_regs(regs));
    EXPECT_EQ(step(guest), code_at + 12);
}

TEST_F(EventTest, DisarmedItRunsFreelyAndLeavesNoTrapFlag) {
    BareGuest guest = kernel_guest(five.subspan(11));  // nop; hlt
    must(guest.cpu().arm_single_step());
    must(guest.cpu().disarm_single_step());
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{}));
    EXPECT_EQ(must(guest.cpu().regs()).rflags & flag_tf, 0U);
}

GUEST_CODE(own_trap_flag, ".code64", R"(
    pushfq
    or dword ptr [rsp], 0x100
    popfq
    nop
    nop
    hlt
)");

TEST_F(EventTest, TheGuestsOwnTrapFlagRaisesDbInTheGuest) {
    BareGuest guest = kernel_guest(own_trap_flag);
    EXPECT_EQ(pushed_by(guest, 1), code_at + own_trap_flag.size() - 2) << "a trap after the first NOP";
    EXPECT_NE(must(guest.cpu().debug_regs()).dr6 & 0x4000, 0U) << "DR6.BS";
}

GUEST_CODE(idle, ".code64", "nop\n nop\n hlt");

TEST_F(EventTest, AnNmiIsTakenAtTheBoundaryItWasInjectedAtAndMasksTheNext) {
    BareGuest guest = kernel_guest(idle);
    EXPECT_EQ(step(guest), code_at + 1);
    must(guest.cpu().disarm_single_step());
    must(guest.cpu().inject_nmi());
    EXPECT_EQ(pushed_by(guest, 2), code_at + 1);
    EXPECT_EQ(must(guest.cpu().events()).nmi.masked, 1);
}

TEST_F(EventTest, AnInterruptIsTakenAtItsBoundaryWithIfSet) {
    BareGuest guest = kernel_guest(idle);
    auto regs = must(guest.cpu().regs());
    regs.rflags |= flag_if;
    must(guest.cpu().set_regs(regs));
    EXPECT_EQ(step(guest), code_at + 1);
    EXPECT_TRUE(guest.cpu().if_flag());
    EXPECT_TRUE(guest.cpu().ready_for_interrupt());
    EXPECT_EQ(must(guest.cpu().interrupt_shadow()), 0);
    must(guest.cpu().disarm_single_step());
    must(guest.cpu().inject_interrupt(Vector(0x41)));
    EXPECT_EQ(pushed_by(guest, 0x41), code_at + 1);
    EXPECT_FALSE(guest.cpu().if_flag()) << "an interrupt gate clears IF";
}

GUEST_CODE(enable_late, ".code64", R"(
    nop                 # 0
    sti                 # 1
    nop                 # 2: in the shadow of STI
    nop                 # 3
    hlt                 # 4
)");

TEST_F(EventTest, TheInterruptWindowOpensBehindTheShadowOfSti) {
    BareGuest guest = kernel_guest(enable_late);
    EXPECT_EQ(step(guest), code_at + 1);
    EXPECT_FALSE(guest.cpu().if_flag());
    EXPECT_FALSE(guest.cpu().ready_for_interrupt());
    must(guest.cpu().disarm_single_step());
    guest.cpu().request_interrupt_window(true);
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::IrqWindow{}));
    EXPECT_EQ(must(guest.cpu().regs()).rip, code_at + 3);
    EXPECT_TRUE(guest.cpu().if_flag());
    EXPECT_TRUE(guest.cpu().ready_for_interrupt());
    guest.cpu().request_interrupt_window(false);
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{})) << "no more window exits";
}

TEST_F(EventTest, AShadowThatWasSetIsSeen) {
    BareGuest guest = kernel_guest(idle);
    kvm::Events events = must(guest.cpu().events());
    EXPECT_EQ(must(guest.cpu().interrupt_shadow()), 0);
    events.interrupt.shadow = kvm::shadow_sti;
    must(guest.cpu().set_events(events));
    EXPECT_NE(must(guest.cpu().interrupt_shadow()) & kvm::shadow_sti, 0);
}

TEST_F(EventTest, AShadowThatWasSetHoldsTheWindowBack) {
    STACKRIG_NEEDS("shadow.set");
    BareGuest guest = kernel_guest(idle);
    auto regs = must(guest.cpu().regs());
    regs.rflags |= flag_if;
    must(guest.cpu().set_regs(regs));
    kvm::Events events = must(guest.cpu().events());
    events.interrupt.shadow = kvm::shadow_sti;
    must(guest.cpu().set_events(events));
    guest.cpu().request_interrupt_window(true);
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::IrqWindow{}));
    EXPECT_EQ(must(guest.cpu().regs()).rip, code_at + 1);
}

TEST_F(EventTest, AnExceptionSetInTheEventsIsDeliveredWithItsErrorCode) {
    BareGuest guest = kernel_guest(idle);
    kvm::Events events = must(guest.cpu().events());
    events.exception.injected = 1;
    events.exception.nr = 13;
    events.exception.has_error_code = 1;
    events.exception.error_code = 0x50;
    must(guest.cpu().set_events(events));
    EXPECT_EQ(pushed_by(guest, 13), 0x50U);
}

TEST_F(EventTest, AnUncorrectedMachineCheckRaisesMc) {
    STACKRIG_NEEDS("inject.mc");
    BareGuest guest = kernel_guest(idle);
    const std::uint64_t supported = must(system().mce_capabilities());
    must(guest.cpu().set_up_mce((supported & ~0xffULL) | 2));
    auto sregs = must(guest.cpu().sregs());
    sregs.cr4 |= 1 << 6;  // MCE
    must(guest.cpu().set_sregs(sregs));
    EXPECT_EQ(step(guest), code_at + 1);
    must(guest.cpu().disarm_single_step());
    constexpr std::uint64_t status = 0xb200000000000136;  // VAL UC EN PCC, a data read error
    must(guest.cpu().inject_mce({.status = status, .address = 0x1000, .mcg_status = 5, .bank = 1}));
    EXPECT_EQ(pushed_by(guest, 18), code_at + 1);
    constexpr std::uint32_t msr_mc1_status = 0x405;
    kvm::Msr bank{msr_mc1_status};
    must(guest.cpu().get_msrs(std::span(&bank, 1)));
    EXPECT_EQ(bank.value, status);
}

}  // namespace
}  // namespace stackrig::test
