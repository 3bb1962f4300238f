// Reading and writing a CPU's state in the order that KVM needs.
#include "vmm/machine/cpu_snapshot.hpp"

#include <fmt/format.h>

#include "vmm/x86/descriptors.hpp"

namespace stackrig::machine {
namespace {

using x86::msr::kernel_gs_base;

/// Every MSR that a guest can write and that is not in Sregs (EFER, FS and GS base, APIC base are). Bank 0 is the one that the
/// rig reports errors in.
constexpr std::array<std::uint32_t, CpuSnapshot::msr_count> indices{
    x86::msr::sysenter_cs, x86::msr::sysenter_esp, x86::msr::sysenter_eip, x86::msr::star,        x86::msr::lstar,
    x86::msr::cstar,       x86::msr::fmask,        kernel_gs_base,         x86::msr::pat,         x86::msr::mcg_status,
    x86::msr::mc0_ctl,     x86::msr::mc0_status,   x86::msr::mc0_addr,     x86::msr::mc0_misc,
};

struct NamedReg {
    const char* name;
    std::uint64_t kvm::Regs::*at;
};
constexpr NamedReg regs[] = {
    {"rax", &kvm::Regs::rax}, {"rbx", &kvm::Regs::rbx}, {"rcx", &kvm::Regs::rcx}, {"rdx", &kvm::Regs::rdx},
    {"rsi", &kvm::Regs::rsi}, {"rdi", &kvm::Regs::rdi}, {"rsp", &kvm::Regs::rsp}, {"rbp", &kvm::Regs::rbp},
    {"r8", &kvm::Regs::r8},   {"r9", &kvm::Regs::r9},   {"r10", &kvm::Regs::r10}, {"r11", &kvm::Regs::r11},
    {"r12", &kvm::Regs::r12}, {"r13", &kvm::Regs::r13}, {"r14", &kvm::Regs::r14}, {"r15", &kvm::Regs::r15},
    {"rip", &kvm::Regs::rip}, {"rflags", &kvm::Regs::rflags},
};

struct NamedSegment {
    const char* name;
    kvm::Segment kvm::Sregs::*at;
};
constexpr NamedSegment segments[] = {
    {"cs", &kvm::Sregs::cs}, {"ds", &kvm::Sregs::ds}, {"es", &kvm::Sregs::es}, {"fs", &kvm::Sregs::fs},
    {"gs", &kvm::Sregs::gs}, {"ss", &kvm::Sregs::ss}, {"tr", &kvm::Sregs::tr}, {"ldt", &kvm::Sregs::ldt},
};

struct NamedControl {
    const char* name;
    std::uint64_t kvm::Sregs::*at;
};
constexpr NamedControl controls[] = {
    {"cr0", &kvm::Sregs::cr0}, {"cr2", &kvm::Sregs::cr2}, {"cr3", &kvm::Sregs::cr3},
    {"cr4", &kvm::Sregs::cr4}, {"cr8", &kvm::Sregs::cr8}, {"efer", &kvm::Sregs::efer},
};

class Text {
  public:
    void number(const char* name, std::uint64_t is, std::uint64_t should_be) {
        if (is != should_be) {
            add(fmt::format("{} {:#x} instead of {:#x}", name, is, should_be));
        }
    }
    void add(const std::string& what) { text_ += (text_.empty() ? "" : ", ") + what; }
    [[nodiscard]] std::string take() { return std::move(text_); }

  private:
    std::string text_;
};

void compare_sregs(const kvm::Sregs& is, const kvm::Sregs& should_be, Text& text) {
    for (const NamedControl& control : controls) {
        text.number(control.name, is.*control.at, should_be.*control.at);
    }
    for (const NamedSegment& segment : segments) {
        if (is.*segment.at != should_be.*segment.at) {
            text.add(fmt::format("{} {:#x} base {:#x} instead of {:#x} base {:#x}", segment.name, (is.*segment.at).selector,
                                 (is.*segment.at).base, (should_be.*segment.at).selector, (should_be.*segment.at).base));
        }
    }
    if (is.gdt != should_be.gdt || is.idt != should_be.idt || is.interrupt_bitmap != should_be.interrupt_bitmap ||
        is.apic_base != should_be.apic_base) {
        text.add("GDTR, IDTR, the queued interrupt or APIC_BASE");
    }
}

void compare_events(const kvm::Events& is, const kvm::Events& should_be, Text& text) {
    text.number("NMI mask", is.nmi.masked, should_be.nmi.masked);
    text.number("pending NMI", is.nmi.pending, should_be.nmi.pending);
    text.number("interrupt shadow", is.interrupt.shadow, should_be.interrupt.shadow);
    if (is != should_be && is.nmi == should_be.nmi && is.interrupt.shadow == should_be.interrupt.shadow) {
        text.add("other pending events");
    }
}

/// KVM leaves the numbers of past events in place.
kvm::Events without_leftovers(kvm::Events events) {
    if (events.exception.injected == 0 && events.exception.pending == 0) {
        events.exception = {};
        events.exception_has_payload = 0;
        events.exception_payload = 0;
    }
    if (events.interrupt.injected == 0) {
        events.interrupt.nr = 0;
        events.interrupt.soft = 0;
    }
    return events;
}

}  // namespace

Result<CpuSnapshot> capture(const kvm::Vcpu& vcpu) {
    if (vcpu.waits_for_answer()) {
        return fail(ErrorKind::rig, fmt::format("{} still waits for the answer to an IN: there is no boundary to take a snapshot of", vcpu.id()));
    }
    CpuSnapshot cpu;
    STACKRIG_TRY_ASSIGN(cpu.regs, vcpu.regs());
    STACKRIG_TRY_ASSIGN(cpu.sregs, vcpu.sregs());
    STACKRIG_TRY_ASSIGN(const kvm::Events events, vcpu.events());
    cpu.events = without_leftovers(events);
    STACKRIG_TRY_ASSIGN(cpu.debug, vcpu.debug_regs());
    for (std::size_t i = 0; i < indices.size(); ++i) {
        cpu.msrs[i].index = indices[i];
    }
    STACKRIG_TRY(vcpu.get_msrs(cpu.msrs));
    return cpu;
}

Result<void> restore(kvm::Vcpu& vcpu, const CpuSnapshot& to, const CpuSnapshot* standing) {
    STACKRIG_TRY(vcpu.abandon_pending());
    // F3: sregs before MSRs; events after both, for they may hold what depends on the mode; regs last.
    if (standing == nullptr || standing->sregs != to.sregs) {
        STACKRIG_TRY(vcpu.set_sregs(to.sregs));
    }
    if (standing == nullptr || standing->msrs != to.msrs) {
        STACKRIG_TRY(vcpu.set_msrs(to.msrs));
    }
    if (standing == nullptr || standing->debug != to.debug) {
        STACKRIG_TRY(vcpu.set_debug_regs(to.debug));
    }
    if (standing == nullptr || standing->events != to.events) {
        STACKRIG_TRY(vcpu.set_events(to.events));
    }
    if (standing == nullptr || standing->regs != to.regs) {
        STACKRIG_TRY(vcpu.set_regs(to.regs));
    }
    return {};
}

std::string differences(const CpuSnapshot& is, const CpuSnapshot& should_be) {
    Text text;
    for (const NamedReg& reg : regs) {
        text.number(reg.name, is.regs.*reg.at, should_be.regs.*reg.at);
    }
    compare_sregs(is.sregs, should_be.sregs, text);
    compare_events(is.events, should_be.events, text);
    for (std::size_t i = 0; i < indices.size(); ++i) {
        text.number(fmt::format("MSR {:#x}", indices[i]).c_str(), is.msrs[i].value, should_be.msrs[i].value);
    }
    if (is.debug != should_be.debug) {
        text.add("debug registers");
    }
    return text.take();
}

}  // namespace stackrig::machine
