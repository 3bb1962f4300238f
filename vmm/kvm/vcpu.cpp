// Vcpu: events for the guest, interrupt readiness, single-step.
#include "vmm/kvm/vcpu.hpp"

#include <bit>

#include "vmm/kvm/ioctl.hpp"
#include "vmm/kvm/vcpu_entry.hpp"

namespace stackrig::kvm {

Result<void> Vcpu::arm_single_step() {
    STACKRIG_TRY(about_to_change("KVM_SET_GUEST_DEBUG"));
    ::kvm_guest_debug debug{};
    debug.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
    STACKRIG_TRY(call(fd_, STACKRIG_IOCTL(::kvm_guest_debug, KVM_SET_GUEST_DEBUG), &debug));
    stepping_ = true;
    return {};
}

// What is known stays true: KVM shows the flags without its own TF while it steps, and takes that TF back here.
Result<void> Vcpu::disarm_single_step() {
    STACKRIG_TRY(answered("KVM_SET_GUEST_DEBUG"));
    ::kvm_guest_debug debug{};
    STACKRIG_TRY(call(fd_, STACKRIG_IOCTL(::kvm_guest_debug, KVM_SET_GUEST_DEBUG), &debug));
    stepping_ = false;
    return {};
}

Result<void> Vcpu::inject_nmi() {
    STACKRIG_TRY(about_to_change("KVM_NMI"));
    STACKRIG_TRY(call(fd_, STACKRIG_IOCTL_VALUE(KVM_NMI)));
    return {};
}

Result<void> Vcpu::inject_interrupt(Vector vector) {
    STACKRIG_TRY(about_to_change("KVM_INTERRUPT"));
    ::kvm_interrupt interrupt{};
    interrupt.irq = vector.value();
    STACKRIG_TRY(call(fd_, STACKRIG_IOCTL(::kvm_interrupt, KVM_INTERRUPT), &interrupt));
    return {};
}

bool Vcpu::ready_for_interrupt() const { return entry_->shared().ready_for_interrupt_injection != 0; }

bool Vcpu::if_flag() const { return entry_->shared().if_flag != 0; }

Result<std::uint8_t> Vcpu::interrupt_shadow() const {
    STACKRIG_TRY_ASSIGN(const Events now, events());
    return now.interrupt.shadow;
}

void Vcpu::request_interrupt_window(bool on) {
    entry_->shared().request_interrupt_window = on ? std::uint8_t{1} : std::uint8_t{0};
}

Result<void> Vcpu::set_up_mce(std::uint64_t mcg_cap) {
    STACKRIG_TRY(about_to_change("KVM_X86_SETUP_MCE"));
    STACKRIG_TRY(call(fd_, STACKRIG_IOCTL(std::uint64_t, KVM_X86_SETUP_MCE), &mcg_cap));
    return {};
}

Result<void> Vcpu::inject_mce(const MachineCheck& mce) {
    STACKRIG_TRY(about_to_change("KVM_X86_SET_MCE"));
    STACKRIG_TRY(
        call(fd_, STACKRIG_IOCTL(::kvm_x86_mce, KVM_X86_SET_MCE), std::bit_cast<::kvm_x86_mce>(mce)));
    return {};
}

}  // namespace stackrig::kvm
