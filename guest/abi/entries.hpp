// The kernel's entries and the class table: which entries run the hooks, which enable IRQs, which the mail names.
#pragma once

#include <cstdint>

#include "guest/abi/policy.hpp"

namespace stackrig::abi {

/// Why the kernel is running. `none` is a kthread or a thread that has not returned to user mode yet.
enum class Entry : std::uint32_t {
    none,
    syscall64,            ///< SYSCALL from 64-bit code: do_syscall_64()
    syscall32,            ///< SYSCALL from compatibility mode: __do_fast_syscall_32()
    int80,                ///< INT 0x80: do_int80_emulation()
    page_fault,           ///< #PF: do_user_addr_fault() when from user mode
    debug,                ///< #DB: exc_debug_user()
    int3,                 ///< #BP: do_int3_user()
    invalid_op,           ///< #UD
    general_protection,   ///< #GP
    divide_error,         ///< #DE
    machine_check,        ///< #MC
    timer,                ///< local timer interrupt
    device,               ///< device interrupt
    nmi,                  ///< NMI: no hook in the mail's scheme, as in Linux
    double_fault,         ///< #DF
    overflow,             ///< #OF
    bounds,               ///< #BR
    device_not_available, ///< #NM: XFD, exc_device_not_available()
    invalid_tss,          ///< #TS
    segment_not_present,  ///< #NP
    stack_segment,        ///< #SS
    alignment_check,      ///< #AC
    x87,                  ///< #MF
    simd,                 ///< #XF
    kernel_address,       ///< #PF from user mode on a kernel address: do_kern_addr_fault()
    async_page_fault,     ///< #PF that the hypervisor raises: kvm_async_pf_task_wait_schedule()
    reschedule,           ///< reschedule IPI
    call_function,        ///< function-call IPI: TLB flush
    count
};

/// When an entry from user mode enables IRQs before the exit loop.
enum class IrqEnable : std::uint32_t {
    never,
    always,
    conditional,  ///< cond_local_irq_enable(): only when the interrupted context had IF=1
};

/// One row of the class table.
struct EntryClass {
    Entry entry;
    const char* name;      ///< as written in scenarios
    const char* stub;      ///< label of its first instruction (guest_asm/entry_64.S); three entries share that of #PF
    const char* function;  ///< the C function that owns the entry's IRQ-enable site
    bool hook;             ///< from user mode it reaches enter_from_user_mode()
    IrqEnable irq_enable;  ///< what Linux's code does
    bool listed;           ///< the mail names it among the entries that enable IRQs
};

inline constexpr std::uint32_t entry_count = static_cast<std::uint32_t>(Entry::count);

/// What Linux does (v6.8, x86-64 without FRED), and what the mail says of it. The rows where irq_enable is not
/// `never` and `listed` is false are the mail's error.
inline constexpr EntryClass entry_classes[entry_count] = {
    {Entry::none, "none", "", "", false, IrqEnable::never, false},
    {Entry::syscall64, "syscall64", "entry_SYSCALL_64", "do_syscall_64", true, IrqEnable::always, true},
    {Entry::syscall32, "syscall32", "entry_SYSCALL_compat", "__do_fast_syscall_32", true, IrqEnable::always, true},
    {Entry::int80, "int80", "asm_int80_emulation", "do_int80_emulation", true, IrqEnable::always, false},
    {Entry::page_fault, "page_fault", "asm_exc_page_fault", "do_user_addr_fault", true, IrqEnable::always, true},
    {Entry::debug, "debug", "asm_exc_debug", "exc_debug_user", true, IrqEnable::always, true},
    {Entry::int3, "int3", "asm_exc_int3", "do_int3_user", true, IrqEnable::conditional, true},
    {Entry::invalid_op, "invalid_op", "asm_exc_invalid_op", "exc_invalid_op", true, IrqEnable::conditional, false},
    {Entry::general_protection, "general_protection", "asm_exc_general_protection", "exc_general_protection", true, IrqEnable::conditional, false},
    {Entry::divide_error, "divide_error", "asm_exc_divide_error", "exc_divide_error", true, IrqEnable::conditional, false},
    {Entry::machine_check, "machine_check", "asm_exc_machine_check", "exc_machine_check_user", true, IrqEnable::never, false},
    {Entry::timer, "timer", "asm_sysvec_apic_timer_interrupt", "sysvec_apic_timer_interrupt", true, IrqEnable::never, false},
    {Entry::device, "device", "asm_common_interrupt", "common_interrupt", true, IrqEnable::never, false},
    {Entry::nmi, "nmi", "asm_exc_nmi", "exc_nmi", false, IrqEnable::never, false},
    {Entry::double_fault, "double_fault", "asm_exc_double_fault", "exc_double_fault", false, IrqEnable::never, false},
    {Entry::overflow, "overflow", "asm_exc_overflow", "exc_overflow", true, IrqEnable::conditional, false},
    {Entry::bounds, "bounds", "asm_exc_bounds", "exc_bounds", true, IrqEnable::conditional, false},
    {Entry::device_not_available, "device_not_available", "asm_exc_device_not_available", "exc_device_not_available", true, IrqEnable::always, false},
    {Entry::invalid_tss, "invalid_tss", "asm_exc_invalid_tss", "exc_invalid_tss", true, IrqEnable::conditional, false},
    {Entry::segment_not_present, "segment_not_present", "asm_exc_segment_not_present", "exc_segment_not_present", true, IrqEnable::conditional, false},
    {Entry::stack_segment, "stack_segment", "asm_exc_stack_segment", "exc_stack_segment", true, IrqEnable::conditional, false},
    {Entry::alignment_check, "alignment_check", "asm_exc_alignment_check", "exc_alignment_check", true, IrqEnable::always, false},
    {Entry::x87, "x87", "asm_exc_coprocessor_error", "exc_coprocessor_error", true, IrqEnable::conditional, false},
    {Entry::simd, "simd", "asm_exc_simd_coprocessor_error", "exc_simd_coprocessor_error", true, IrqEnable::conditional, false},
    {Entry::kernel_address, "kernel_address", "asm_exc_page_fault", "do_kern_addr_fault", true, IrqEnable::always, false},
    {Entry::async_page_fault, "async_page_fault", "asm_exc_page_fault", "kvm_async_pf_task_wait_schedule", true, IrqEnable::always, false},
    {Entry::reschedule, "reschedule", "asm_sysvec_reschedule_ipi", "sysvec_reschedule_ipi", true, IrqEnable::never, false},
    {Entry::call_function, "call_function", "asm_sysvec_call_function", "sysvec_call_function", true, IrqEnable::never, false},
};

constexpr const EntryClass& entry_class(Entry entry) { return entry_classes[static_cast<std::uint32_t>(entry)]; }

/// Whether an entry that finds no page owes it and waits at its IRQ-enable site; otherwise it uses the reserve. Preset
/// seed-literal: the five entries of the mail's list. Preset corrected: every entry that will enable IRQs, which a
/// conditional one does when the interrupted context had them on.
constexpr bool may_wait(Classes preset, Entry entry, bool irqs_were_on) {
    const EntryClass& row = entry_class(entry);
    if (preset == Classes::seed_literal) {
        return row.listed;
    }
    return row.irq_enable == IrqEnable::always || (row.irq_enable == IrqEnable::conditional && irqs_were_on);
}

}  // namespace stackrig::abi
