// Plain copies of the kernel's vCPU state structs, so that no other layer sees linux/kvm.h.
//
// Field order and sizes equal the kernel's (asserted in state_layout.cpp), so conversion is a memcpy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace stackrig::kvm {

/// General registers, RIP and RFLAGS (struct kvm_regs).
struct Regs {
    std::uint64_t rax = 0;     // 0
    std::uint64_t rbx = 0;     // 8
    std::uint64_t rcx = 0;     // 16
    std::uint64_t rdx = 0;     // 24
    std::uint64_t rsi = 0;     // 32
    std::uint64_t rdi = 0;     // 40
    std::uint64_t rsp = 0;     // 48
    std::uint64_t rbp = 0;     // 56
    std::uint64_t r8 = 0;      // 64
    std::uint64_t r9 = 0;      // 72
    std::uint64_t r10 = 0;     // 80
    std::uint64_t r11 = 0;     // 88
    std::uint64_t r12 = 0;     // 96
    std::uint64_t r13 = 0;     // 104
    std::uint64_t r14 = 0;     // 112
    std::uint64_t r15 = 0;     // 120
    std::uint64_t rip = 0;     // 128
    std::uint64_t rflags = 2;  // 136; bit 1 always reads as one
    bool operator==(const Regs&) const = default;
};

/// One segment register with its hidden part (struct kvm_segment).
struct Segment {
    std::uint64_t base = 0;      // 0
    std::uint32_t limit = 0;     // 8; in bytes, already scaled by `g`
    std::uint16_t selector = 0;  // 12
    std::uint8_t type = 0;       // 14
    std::uint8_t present = 0;    // 15
    std::uint8_t dpl = 0;        // 16
    std::uint8_t db = 0;         // 17
    std::uint8_t s = 0;          // 18; 0 system, 1 code or data
    std::uint8_t l = 0;          // 19
    std::uint8_t g = 0;          // 20
    std::uint8_t avl = 0;        // 21
    std::uint8_t unusable = 0;   // 22
    std::uint8_t padding = 0;    // 23
    bool operator==(const Segment&) const = default;
};

/// GDTR or IDTR (struct kvm_dtable).
struct DescriptorTable {
    std::uint64_t base = 0;                  // 0
    std::uint16_t limit = 0;                 // 8; size in bytes minus one
    std::array<std::uint16_t, 3> padding{};  // 10
    bool operator==(const DescriptorTable&) const = default;
};

/// Segments, tables, control registers (struct kvm_sregs). The type of a busy TR is 11; Vcpu::set_sregs() knows what a host makes
/// of it.
struct Sregs {
    Segment cs, ds, es, fs, gs, ss;                   // 0
    Segment tr, ldt;                                  // 144
    DescriptorTable gdt, idt;                         // 192
    std::uint64_t cr0 = 0;                            // 224
    std::uint64_t cr2 = 0;                            // 232
    std::uint64_t cr3 = 0;                            // 240
    std::uint64_t cr4 = 0;                            // 248
    std::uint64_t cr8 = 0;                            // 256
    std::uint64_t efer = 0;                           // 264
    std::uint64_t apic_base = 0;                      // 272
    std::array<std::uint64_t, 4> interrupt_bitmap{};  // 280; at most one bit: the external vector injected
    bool operator==(const Sregs&) const = default;
};

/// Bits of Events::Interrupt::shadow (KVM_X86_SHADOW_INT_*).
inline constexpr std::uint8_t shadow_mov_ss = 1;
inline constexpr std::uint8_t shadow_sti = 2;

/// Pending and injected events, NMI mask and interrupt shadow (struct kvm_vcpu_events, api.rst 4.31).
struct Events {
    struct Exception {
        std::uint8_t injected = 0;        // 0
        std::uint8_t nr = 0;              // 1
        std::uint8_t has_error_code = 0;  // 2
        std::uint8_t pending = 0;         // 3
        std::uint32_t error_code = 0;     // 4
        bool operator==(const Exception&) const = default;
    };
    struct Interrupt {
        std::uint8_t injected = 0;  // 0
        std::uint8_t nr = 0;        // 1
        std::uint8_t soft = 0;      // 2
        std::uint8_t shadow = 0;    // 3; shadow_mov_ss, shadow_sti
        bool operator==(const Interrupt&) const = default;
    };
    struct Nmi {
        std::uint8_t injected = 0;  // 0
        std::uint8_t pending = 0;   // 1
        std::uint8_t masked = 0;    // 2
        std::uint8_t pad = 0;       // 3
        bool operator==(const Nmi&) const = default;
    };
    struct Smi {
        std::uint8_t smm = 0;             // 0
        std::uint8_t pending = 0;         // 1
        std::uint8_t smm_inside_nmi = 0;  // 2
        std::uint8_t latched_init = 0;    // 3
        bool operator==(const Smi&) const = default;
    };
    Exception exception;                      // 0
    Interrupt interrupt;                      // 8
    Nmi nmi;                                  // 12
    std::uint32_t sipi_vector = 0;            // 16
    std::uint32_t flags = 0;                  // 20; filled by Vcpu::events(), which fields SET honours
    Smi smi;                                  // 24
    std::uint8_t triple_fault_pending = 0;    // 28
    std::array<std::uint8_t, 26> reserved{};  // 29
    std::uint8_t exception_has_payload = 0;   // 55
    std::uint64_t exception_payload = 0;      // 56
    bool operator==(const Events&) const = default;
};

/// DR0..DR3, DR6, DR7 (struct kvm_debugregs).
struct DebugRegs {
    std::array<std::uint64_t, 4> db{};        // 0
    std::uint64_t dr6 = 0xffff0ff0;           // 32
    std::uint64_t dr7 = 0x400;                // 40
    std::uint64_t flags = 0;                  // 48; must be zero
    std::array<std::uint64_t, 9> reserved{};  // 56
    bool operator==(const DebugRegs&) const = default;
};

/// One model specific register (struct kvm_msr_entry).
struct Msr {
    std::uint32_t index = 0;     // 0
    std::uint32_t reserved = 0;  // 4
    std::uint64_t value = 0;     // 8
    bool operator==(const Msr&) const = default;
};

/// One CPUID leaf (struct kvm_cpuid_entry2).
struct CpuidEntry {
    std::uint32_t function = 0;              // 0
    std::uint32_t index = 0;                 // 4
    std::uint32_t flags = 0;                 // 8; bit 0: `index` is significant
    std::uint32_t eax = 0;                   // 12
    std::uint32_t ebx = 0;                   // 16
    std::uint32_t ecx = 0;                   // 20
    std::uint32_t edx = 0;                   // 24
    std::array<std::uint32_t, 3> padding{};  // 28
    bool operator==(const CpuidEntry&) const = default;
};

/// x87 and SSE state (struct kvm_fpu), opaque: saved and restored whole.
struct Fpu {
    alignas(8) std::array<std::byte, 416> bytes{};
    bool operator==(const Fpu&) const = default;
};

/// XSAVE area (struct kvm_xsave, the 4 KiB that every guest without AMX fits into), opaque.
struct Xsave {
    alignas(8) std::array<std::byte, 4096> bytes{};
    bool operator==(const Xsave&) const = default;
};

/// One machine check to raise (struct kvm_x86_mce; SDM 3B 16.3.2).
struct MachineCheck {
    std::uint64_t status = 0;                 // 0; MCi_STATUS: VAL (63) is needed, UC (61) raises #MC
    std::uint64_t address = 0;                // 8; MCi_ADDR
    std::uint64_t misc = 0;                   // 16; MCi_MISC
    std::uint64_t mcg_status = 0;             // 24; MCG_STATUS: MCIP (2) for an exception
    std::uint8_t bank = 0;                    // 32
    std::array<std::uint8_t, 7> padding1{};   // 33
    std::array<std::uint64_t, 3> padding2{};  // 40
    bool operator==(const MachineCheck&) const = default;
};

}  // namespace stackrig::kvm
