// Descriptor tables, TSS with IST stacks, and the MSRs of the system call entries.
#include "guest/kernel/cpu.hpp"

#include "guest/kernel/state.hpp"

extern "C" {
void entry_SYSCALL_64();
void entry_SYSCALL_compat();
void asm_exc_divide_error();
void asm_exc_debug();
void asm_exc_nmi();
void asm_exc_int3();
void asm_exc_invalid_op();
void asm_exc_double_fault();
void asm_exc_general_protection();
void asm_exc_page_fault();
void asm_exc_machine_check();
void asm_int80_emulation();
void asm_common_interrupt();
void asm_sysvec_apic_timer_interrupt();
void asm_exc_overflow();
void asm_exc_bounds();
void asm_exc_device_not_available();
void asm_exc_invalid_tss();
void asm_exc_segment_not_present();
void asm_exc_stack_segment();
void asm_exc_coprocessor_error();
void asm_exc_alignment_check();
void asm_exc_simd_coprocessor_error();
void asm_sysvec_reschedule_ipi();
void asm_sysvec_call_function();
void asm_exc_unexpected();
void asm_exc_unexpected_error();
}

namespace guest {
namespace {

// IA32_* MSR numbers (SDM volume 4, table 2-2).
constexpr u32 msr_star = 0xc0000081;
constexpr u32 msr_lstar = 0xc0000082;
constexpr u32 msr_cstar = 0xc0000083;
constexpr u32 msr_fmask = 0xc0000084;
constexpr u32 msr_gs_base = 0xc0000101;
constexpr u32 msr_kernel_gs_base = 0xc0000102;

// What SYSCALL clears: TF IF DF IOPL NT AC, as Linux's syscall_init().
constexpr u64 syscall_mask = 0x47700;

struct [[gnu::packed]] Gate {  // SDM 6.14.1
    u16 offset_low;
    u16 selector;
    u8 ist;
    u8 type;
    u16 offset_middle;
    u32 offset_high;
    u32 reserved;
};
static_assert(sizeof(Gate) == 16);

struct [[gnu::packed]] TablePointer {
    u16 limit;
    u64 base;
};

// IST slots, as Linux's IST_INDEX_* plus one.
constexpr u8 ist_nmi = 1;
constexpr u8 ist_df = 2;
constexpr u8 ist_db = 3;
constexpr u8 ist_mc = 4;

Gate idt[256];

void set_gate(u8 vector, void (*handler)(), u8 ist = 0, u8 dpl = 0) {
    const u64 address = reinterpret_cast<u64>(handler);
    idt[vector] = {static_cast<u16>(address),       abi::kernel_cs, ist, static_cast<u8>(0x8e | (dpl << 5)),
                   static_cast<u16>(address >> 16), static_cast<u32>(address >> 32), 0};
}

bool has_error_code(u32 vector) {
    constexpr u32 vectors = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 21;
    return (vectors >> vector & 1) != 0;
}

void init_idt() {
    for (u32 vector = 0; vector < 32; ++vector) {
        set_gate(static_cast<u8>(vector), has_error_code(vector) ? asm_exc_unexpected_error : asm_exc_unexpected);
    }
    set_gate(0, asm_exc_divide_error);
    set_gate(1, asm_exc_debug, ist_db);
    set_gate(2, asm_exc_nmi, ist_nmi);
    set_gate(3, asm_exc_int3, 0, 3);
    set_gate(6, asm_exc_invalid_op);
    set_gate(4, asm_exc_overflow, 0, 3);
    set_gate(5, asm_exc_bounds);
    set_gate(7, asm_exc_device_not_available);
    set_gate(8, asm_exc_double_fault, ist_df);
    set_gate(10, asm_exc_invalid_tss);
    set_gate(11, asm_exc_segment_not_present);
    set_gate(12, asm_exc_stack_segment);
    set_gate(13, asm_exc_general_protection);
    set_gate(14, asm_exc_page_fault);
    set_gate(16, asm_exc_coprocessor_error);
    set_gate(17, asm_exc_alignment_check);
    set_gate(18, asm_exc_machine_check, ist_mc);
    set_gate(19, asm_exc_simd_coprocessor_error);
    set_gate(0x80, asm_int80_emulation, 0, 3);
    set_gate(abi::device_vector, asm_common_interrupt);
    set_gate(abi::timer_vector, asm_sysvec_apic_timer_interrupt);
    set_gate(abi::reschedule_vector, asm_sysvec_reschedule_ipi);
    set_gate(abi::call_function_vector, asm_sysvec_call_function);
}

void init_tss(PerCpu* pc) {
    abi::Tss& tss = pc->tss;
    tss.rsp[0] = abi::cpu_stack_top(pc->cpu, abi::CpuStack::entry);
    tss.ist[ist_nmi - 1] = abi::cpu_stack_top(pc->cpu, abi::CpuStack::nmi);
    tss.ist[ist_df - 1] = abi::cpu_stack_top(pc->cpu, abi::CpuStack::df);
    tss.ist[ist_db - 1] = abi::cpu_stack_top(pc->cpu, abi::CpuStack::db);
    tss.ist[ist_mc - 1] = abi::cpu_stack_top(pc->cpu, abi::CpuStack::mc);
    tss.io_map_base = offsetof(abi::Tss, io_map);
    for (u8& byte : tss.io_map) {
        byte = 0xff;
    }
    // Ring 3 may use one port, for its marks: a 32-bit OUT needs four clear bits.
    const u32 port = static_cast<u32>(abi::Port::user_mark);
    tss.io_map[port / 8] = static_cast<u8>(~(0xfu << (port % 8)));
    pc->irq_top = abi::cpu_stack_top(pc->cpu, abi::CpuStack::irq);
}

void init_gdt(PerCpu* pc) {
    pc->gdt[2] = 0x00af9b000000ffff;  // KERNEL_CS 0x10: 64-bit code
    pc->gdt[3] = 0x00cf93000000ffff;  // KERNEL_DS 0x18
    pc->gdt[4] = 0x00cffb000000ffff;  // USER32_CS 0x23
    pc->gdt[5] = 0x00cff3000000ffff;  // USER_DS 0x2b
    pc->gdt[6] = 0x00affb000000ffff;  // USER_CS 0x33
    const u64 base = reinterpret_cast<u64>(&pc->tss);
    pc->gdt[8] = (sizeof(abi::Tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    pc->gdt[9] = base >> 32;
}

}  // namespace

void cpu_init(u32 cpu) {
    PerCpu* pc = state()->percpu[cpu];
    pc->self = pc;
    pc->cpu = cpu;
    init_gdt(pc);
    init_tss(pc);
    if (cpu == 0) {
        init_idt();
    }
    const TablePointer gdtr{sizeof pc->gdt - 1, reinterpret_cast<u64>(pc->gdt)};
    const TablePointer idtr{sizeof idt - 1, reinterpret_cast<u64>(idt)};
    asm volatile("lgdt %0; lidt %1; ltr %w2" : : "m"(gdtr), "m"(idtr), "r"(abi::tss_sel));
    wrmsr(msr_gs_base, reinterpret_cast<u64>(pc));
    wrmsr(msr_kernel_gs_base, 0);
    // SYSRET loads CS from STAR[63:48] + 16 and SS from + 8; SYSCALL from STAR[47:32] (SDM 5.8.8).
    wrmsr(msr_star, static_cast<u64>(abi::user32_cs) << 48 | static_cast<u64>(abi::kernel_cs) << 32);
    wrmsr(msr_lstar, reinterpret_cast<u64>(entry_SYSCALL_64));
    wrmsr(msr_cstar, reinterpret_cast<u64>(entry_SYSCALL_compat));
    wrmsr(msr_fmask, syscall_mask);
}

}  // namespace guest
