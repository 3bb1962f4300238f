// Proof that the structs of state.hpp and the numbers of capability.hpp are the kernel's.
#include <cstddef>
#include <type_traits>

#include "vmm/kvm/capability.hpp"
#include "vmm/kvm/state.hpp"
#include "vmm/kvm/uapi.hpp"

namespace stackrig::kvm {
namespace {

template <class Own, class Kernel>
constexpr bool same_shape =
    sizeof(Own) == sizeof(Kernel) && std::is_trivially_copyable_v<Own>&& std::is_standard_layout_v<Own>;

#define SAME_FIELD(Own, own, Kernel, kernel)                        \
    static_assert(offsetof(Own, own) == offsetof(Kernel, kernel) && \
                  sizeof(Own::own) == sizeof(Kernel::kernel))

static_assert(same_shape<Regs, kvm_regs>);
SAME_FIELD(Regs, rax, kvm_regs, rax);
SAME_FIELD(Regs, rbx, kvm_regs, rbx);
SAME_FIELD(Regs, rcx, kvm_regs, rcx);
SAME_FIELD(Regs, rdx, kvm_regs, rdx);
SAME_FIELD(Regs, rsi, kvm_regs, rsi);
SAME_FIELD(Regs, rdi, kvm_regs, rdi);
SAME_FIELD(Regs, rsp, kvm_regs, rsp);
SAME_FIELD(Regs, rbp, kvm_regs, rbp);
SAME_FIELD(Regs, r8, kvm_regs, r8);
SAME_FIELD(Regs, r9, kvm_regs, r9);
SAME_FIELD(Regs, r10, kvm_regs, r10);
SAME_FIELD(Regs, r11, kvm_regs, r11);
SAME_FIELD(Regs, r12, kvm_regs, r12);
SAME_FIELD(Regs, r13, kvm_regs, r13);
SAME_FIELD(Regs, r14, kvm_regs, r14);
SAME_FIELD(Regs, r15, kvm_regs, r15);
SAME_FIELD(Regs, rip, kvm_regs, rip);
SAME_FIELD(Regs, rflags, kvm_regs, rflags);

static_assert(same_shape<Segment, kvm_segment>);
SAME_FIELD(Segment, base, kvm_segment, base);
SAME_FIELD(Segment, limit, kvm_segment, limit);
SAME_FIELD(Segment, selector, kvm_segment, selector);
SAME_FIELD(Segment, type, kvm_segment, type);
SAME_FIELD(Segment, present, kvm_segment, present);
SAME_FIELD(Segment, dpl, kvm_segment, dpl);
SAME_FIELD(Segment, db, kvm_segment, db);
SAME_FIELD(Segment, s, kvm_segment, s);
SAME_FIELD(Segment, l, kvm_segment, l);
SAME_FIELD(Segment, g, kvm_segment, g);
SAME_FIELD(Segment, avl, kvm_segment, avl);
SAME_FIELD(Segment, unusable, kvm_segment, unusable);

static_assert(same_shape<DescriptorTable, kvm_dtable>);
SAME_FIELD(DescriptorTable, base, kvm_dtable, base);
SAME_FIELD(DescriptorTable, limit, kvm_dtable, limit);

static_assert(same_shape<Sregs, kvm_sregs>);
SAME_FIELD(Sregs, cs, kvm_sregs, cs);
SAME_FIELD(Sregs, ds, kvm_sregs, ds);
SAME_FIELD(Sregs, es, kvm_sregs, es);
SAME_FIELD(Sregs, fs, kvm_sregs, fs);
SAME_FIELD(Sregs, gs, kvm_sregs, gs);
SAME_FIELD(Sregs, ss, kvm_sregs, ss);
SAME_FIELD(Sregs, tr, kvm_sregs, tr);
SAME_FIELD(Sregs, ldt, kvm_sregs, ldt);
SAME_FIELD(Sregs, gdt, kvm_sregs, gdt);
SAME_FIELD(Sregs, idt, kvm_sregs, idt);
SAME_FIELD(Sregs, cr0, kvm_sregs, cr0);
SAME_FIELD(Sregs, cr2, kvm_sregs, cr2);
SAME_FIELD(Sregs, cr3, kvm_sregs, cr3);
SAME_FIELD(Sregs, cr4, kvm_sregs, cr4);
SAME_FIELD(Sregs, cr8, kvm_sregs, cr8);
SAME_FIELD(Sregs, efer, kvm_sregs, efer);
SAME_FIELD(Sregs, apic_base, kvm_sregs, apic_base);
SAME_FIELD(Sregs, interrupt_bitmap, kvm_sregs, interrupt_bitmap);

static_assert(same_shape<Events, kvm_vcpu_events>);
SAME_FIELD(Events, exception, kvm_vcpu_events, exception);
SAME_FIELD(Events, exception.nr, kvm_vcpu_events, exception.nr);
SAME_FIELD(Events, exception.has_error_code, kvm_vcpu_events, exception.has_error_code);
SAME_FIELD(Events, exception.pending, kvm_vcpu_events, exception.pending);
SAME_FIELD(Events, exception.error_code, kvm_vcpu_events, exception.error_code);
SAME_FIELD(Events, interrupt, kvm_vcpu_events, interrupt);
SAME_FIELD(Events, interrupt.nr, kvm_vcpu_events, interrupt.nr);
SAME_FIELD(Events, interrupt.soft, kvm_vcpu_events, interrupt.soft);
SAME_FIELD(Events, interrupt.shadow, kvm_vcpu_events, interrupt.shadow);
SAME_FIELD(Events, nmi, kvm_vcpu_events, nmi);
SAME_FIELD(Events, nmi.pending, kvm_vcpu_events, nmi.pending);
SAME_FIELD(Events, nmi.masked, kvm_vcpu_events, nmi.masked);
SAME_FIELD(Events, sipi_vector, kvm_vcpu_events, sipi_vector);
SAME_FIELD(Events, flags, kvm_vcpu_events, flags);
SAME_FIELD(Events, smi, kvm_vcpu_events, smi);
SAME_FIELD(Events, triple_fault_pending, kvm_vcpu_events, triple_fault);
SAME_FIELD(Events, exception_has_payload, kvm_vcpu_events, exception_has_payload);
SAME_FIELD(Events, exception_payload, kvm_vcpu_events, exception_payload);
static_assert(shadow_mov_ss == KVM_X86_SHADOW_INT_MOV_SS && shadow_sti == KVM_X86_SHADOW_INT_STI);

static_assert(same_shape<DebugRegs, kvm_debugregs>);
SAME_FIELD(DebugRegs, db, kvm_debugregs, db);
SAME_FIELD(DebugRegs, dr6, kvm_debugregs, dr6);
SAME_FIELD(DebugRegs, dr7, kvm_debugregs, dr7);
SAME_FIELD(DebugRegs, flags, kvm_debugregs, flags);

static_assert(same_shape<Msr, kvm_msr_entry>);
SAME_FIELD(Msr, index, kvm_msr_entry, index);
SAME_FIELD(Msr, value, kvm_msr_entry, data);

static_assert(same_shape<CpuidEntry, kvm_cpuid_entry2>);
SAME_FIELD(CpuidEntry, function, kvm_cpuid_entry2, function);
SAME_FIELD(CpuidEntry, index, kvm_cpuid_entry2, index);
SAME_FIELD(CpuidEntry, flags, kvm_cpuid_entry2, flags);
SAME_FIELD(CpuidEntry, eax, kvm_cpuid_entry2, eax);
SAME_FIELD(CpuidEntry, edx, kvm_cpuid_entry2, edx);

static_assert(same_shape<Fpu, kvm_fpu>);
static_assert(same_shape<Xsave, kvm_xsave>);

static_assert(same_shape<MachineCheck, kvm_x86_mce>);
SAME_FIELD(MachineCheck, status, kvm_x86_mce, status);
SAME_FIELD(MachineCheck, address, kvm_x86_mce, addr);
SAME_FIELD(MachineCheck, misc, kvm_x86_mce, misc);
SAME_FIELD(MachineCheck, mcg_status, kvm_x86_mce, mcg_status);
SAME_FIELD(MachineCheck, bank, kvm_x86_mce, bank);

}  // namespace
}  // namespace stackrig::kvm
