// Vcpu: reading and writing its state.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "vmm/kvm/flex_buffer.hpp"
#include "vmm/kvm/ioctl.hpp"
#include "vmm/kvm/vcpu_entry.hpp"

namespace stackrig::kvm {
namespace {

constexpr std::uint32_t msr_tsc = 0x10;
constexpr std::uint64_t rflags_fixed = 1u << 1;  // reads as 1 (SDM 1 figure 3-8)
constexpr std::uint64_t rflags_tf = 1u << 8;

constexpr std::uint8_t tss_available = 9;  // of a 64-bit TSS (SDM 3A table 3-2)
constexpr std::uint8_t tss_busy = 11;

// VMX enters with a busy TR only (SDM 3C 26.3.1.2). SVM does not look, KVM shows any TR of SVM as busy, and TCG's SVM takes a busy
// one for no TSS at all when it looks for the I/O permission bitmap.
bool host_is_svm() {
    static const bool svm = __builtin_cpu_is("amd") != 0;
    return svm;
}

// Own and Kernel have the same layout (state_layout.cpp).
template <class Own, class Kernel>
Result<Own> get(const Fd& fd, Ioctl<Kernel> request) {
    Kernel kernel;
    STACKRIG_TRY(call(fd, request, &kernel));
    return std::bit_cast<Own>(kernel);
}

template <class Own, class Kernel>
Result<void> set(const Fd& fd, Ioctl<Kernel> request, const Own& own) {
    STACKRIG_TRY(call(fd, request, std::bit_cast<Kernel>(own)));
    return {};
}

/// From what is known, else by `request`.
template <class Own, class Kernel>
Result<Own> get(std::optional<Own>& known, const Fd& fd, Ioctl<Kernel> request) {
    if (!known) {
        STACKRIG_TRY_ASSIGN(known, (get<Own>(fd, request)));
    }
    return *known;
}

using MsrBuffer = FlexBuffer<::kvm_msrs, Msr>;

}  // namespace

Result<Regs> Vcpu::regs() const { return get(known_.regs, fd_, STACKRIG_IOCTL(::kvm_regs, KVM_GET_REGS)); }

Result<void> Vcpu::set_regs(const Regs& regs) {
    STACKRIG_TRY(answered("KVM_SET_REGS"));
    known_.regs.reset();
    if (known_.events && known_.events->exception.pending != 0) {
        known_.events.reset();  // KVM_SET_REGS makes it forget a pending exception
    }
    STACKRIG_TRY(set(fd_, STACKRIG_IOCTL(::kvm_regs, KVM_SET_REGS), regs));
    if ((regs.rflags & rflags_tf) == 0) {
        known_.regs = regs;
        known_.regs->rflags |= rflags_fixed;
    }
    return {};
}

Result<Sregs> Vcpu::sregs() const { return get(known_.sregs, fd_, STACKRIG_IOCTL(::kvm_sregs, KVM_GET_SREGS)); }

Result<void> Vcpu::set_sregs(const Sregs& sregs) {
    STACKRIG_TRY(about_to_change("KVM_SET_SREGS"));
    Sregs usable = sregs;
    if (usable.tr.type == tss_busy && host_is_svm()) {
        usable.tr.type = tss_available;
    }
    STACKRIG_TRY(set(fd_, STACKRIG_IOCTL(::kvm_sregs, KVM_SET_SREGS), usable));
    // Without an in-kernel LAPIC each KVM_RUN loads CR8 from the shared page, over what was just set.
    entry_->shared().cr8 = sregs.cr8;
    return {};
}

Result<Events> Vcpu::events() const {
    return get(known_.events, fd_, STACKRIG_IOCTL(::kvm_vcpu_events, KVM_GET_VCPU_EVENTS));
}

Result<void> Vcpu::set_events(const Events& events) {
    STACKRIG_TRY(answered("KVM_SET_VCPU_EVENTS"));
    known_.events.reset();
    Events all = events;
    all.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    return set(fd_, STACKRIG_IOCTL(::kvm_vcpu_events, KVM_SET_VCPU_EVENTS), all);
}

Result<DebugRegs> Vcpu::debug_regs() const {
    return get(known_.debug, fd_, STACKRIG_IOCTL(::kvm_debugregs, KVM_GET_DEBUGREGS));
}

Result<void> Vcpu::set_debug_regs(const DebugRegs& regs) {
    STACKRIG_TRY(answered("KVM_SET_DEBUGREGS"));
    known_.debug.reset();
    return set(fd_, STACKRIG_IOCTL(::kvm_debugregs, KVM_SET_DEBUGREGS), regs);
}

Result<Fpu> Vcpu::fpu() const { return get<Fpu>(fd_, STACKRIG_IOCTL(::kvm_fpu, KVM_GET_FPU)); }

Result<void> Vcpu::set_fpu(const Fpu& fpu) {
    STACKRIG_TRY(about_to_change("KVM_SET_FPU"));
    return set(fd_, STACKRIG_IOCTL(::kvm_fpu, KVM_SET_FPU), fpu);
}

Result<Xsave> Vcpu::xsave() const { return get<Xsave>(fd_, STACKRIG_IOCTL(::kvm_xsave, KVM_GET_XSAVE)); }

Result<void> Vcpu::set_xsave(const Xsave& xsave) {
    STACKRIG_TRY(about_to_change("KVM_SET_XSAVE"));
    return set(fd_, STACKRIG_IOCTL(::kvm_xsave, KVM_SET_XSAVE), xsave);
}

Result<void> Vcpu::get_msrs(std::span<Msr> msrs) const {
    const auto same_index = [](const Msr& a, const Msr& b) { return a.index == b.index; };
    if (std::equal(msrs.begin(), msrs.end(), known_.msrs.begin(), known_.msrs.end(), same_index)) {
        std::copy(known_.msrs.begin(), known_.msrs.end(), msrs.begin());
        return {};
    }
    MsrBuffer buffer{std::span<const Msr>(msrs)};
    buffer.head()->nmsrs = static_cast<std::uint32_t>(msrs.size());
    STACKRIG_TRY_ASSIGN(const int count, call(fd_, STACKRIG_IOCTL(::kvm_msrs, KVM_GET_MSRS), buffer.head()));
    if (static_cast<std::size_t>(count) != msrs.size()) {
        return fail(ErrorKind::host,
                    fmt::format("KVM_GET_MSRS: read {} of {} MSRs; this KVM refuses MSR {:#x}.", count,
                                msrs.size(), msrs[static_cast<std::size_t>(count)].index));
    }
    buffer.copy_to(msrs);
    const bool ticks = std::any_of(msrs.begin(), msrs.end(), [](const Msr& msr) { return msr.index == msr_tsc; });
    known_.msrs.assign(msrs.begin(), ticks ? msrs.begin() : msrs.end());
    return {};
}

Result<void> Vcpu::set_msrs(std::span<const Msr> msrs) {
    STACKRIG_TRY(about_to_change("KVM_SET_MSRS"));
    MsrBuffer buffer{std::span<const Msr>(msrs)};
    buffer.head()->nmsrs = static_cast<std::uint32_t>(msrs.size());
    STACKRIG_TRY_ASSIGN(const int count, call(fd_, STACKRIG_IOCTL(::kvm_msrs, KVM_SET_MSRS), buffer.head()));
    if (static_cast<std::size_t>(count) != msrs.size()) {
        const Msr& refused = msrs[static_cast<std::size_t>(count)];
        return fail(ErrorKind::host,
                    fmt::format("KVM_SET_MSRS: wrote {} of {} MSRs; this KVM refuses {:#x} for MSR {:#x}.",
                                count, msrs.size(), refused.value, refused.index));
    }
    return {};
}

Result<void> Vcpu::set_cpuid(std::span<const CpuidEntry> entries) {
    STACKRIG_TRY(about_to_change("KVM_SET_CPUID2"));
    FlexBuffer<::kvm_cpuid2, CpuidEntry> buffer(entries);
    buffer.head()->nent = static_cast<std::uint32_t>(entries.size());
    STACKRIG_TRY(call(fd_, STACKRIG_IOCTL(::kvm_cpuid2, KVM_SET_CPUID2), buffer.head(),
                      fmt::format("({} entries)", entries.size())));
    return {};
}

Result<Translation> Vcpu::translate(Gva gva) const {
    ::kvm_translation translation{};
    translation.linear_address = gva.value();
    STACKRIG_TRY(call(fd_, STACKRIG_IOCTL(::kvm_translation, KVM_TRANSLATE), &translation));
    return Translation{Gpa(translation.physical_address), translation.valid != 0};
}

Result<std::uint32_t> Vcpu::tsc_khz() const {
    STACKRIG_TRY_ASSIGN(const int khz, call(fd_, STACKRIG_IOCTL_VALUE(KVM_GET_TSC_KHZ)));
    return static_cast<std::uint32_t>(khz);
}

Result<std::uint64_t> Vcpu::tsc() const {
    Msr msr{msr_tsc, 0, 0};
    STACKRIG_TRY(get_msrs(std::span(&msr, 1)));
    return msr.value;
}

Result<void> Vcpu::set_tsc(std::uint64_t value) {
    if (value == 0) {
        return fail(ErrorKind::rig,
                    "set_tsc: KVM takes the value 0 for \"same as the other vCPUs\". Use 1 or more.");
    }
    constexpr std::uint64_t far = std::uint64_t{1} << 62;
    const std::array<Msr, 2> writes{Msr{msr_tsc, 0, value ^ far}, Msr{msr_tsc, 0, value}};
    return set_msrs(writes);
}

}  // namespace stackrig::kvm
