// The kernel's entries and the class table: which entries run the hooks, which enable IRQs, which the mail names.
#pragma once

#include <cstdint>

namespace stackrig::abi {

/// Why the kernel is running. `none` is a kthread or a thread that has not returned to user mode yet.
enum class Entry : std::uint32_t {
    none,
    syscall64,   ///< SYSCALL from 64-bit code: do_syscall_64()
    syscall32,   ///< SYSCALL from compatibility mode: __do_fast_syscall_32()
    int80,       ///< INT 0x80: do_int80_emulation()
    page_fault,  ///< #PF: do_user_addr_fault() when from user mode
    debug,       ///< #DB: exc_debug_user()
    int3,        ///< #BP: do_int3_user()
    invalid_op,  ///< #UD
    general_protection,  ///< #GP
    divide_error,        ///< #DE
    machine_check,       ///< #MC
    timer,               ///< local timer interrupt
    device,              ///< device interrupt
    nmi,                 ///< NMI: no hook in the mail's scheme, as in Linux
    double_fault,        ///< #DF
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
    const char* function;  ///< the C function that owns the entry's IRQ-enable site
    bool hook;             ///< from user mode it reaches enter_from_user_mode()
    IrqEnable irq_enable;  ///< what Linux's code does
    bool may_wait;         ///< the preset says: owes pages and waits at its site; otherwise uses the reserve
};

inline constexpr std::uint32_t entry_count = static_cast<std::uint32_t>(Entry::count);

/// Preset "seed-literal": may_wait is true exactly for the five entries the mail lists. The rows where
/// irq_enable is not `never` and may_wait is false are the mail's error, kept on purpose.
inline constexpr EntryClass seed_literal[entry_count] = {
    {Entry::none, "none", "", false, IrqEnable::never, false},
    {Entry::syscall64, "syscall64", "do_syscall_64", true, IrqEnable::always, true},
    {Entry::syscall32, "syscall32", "__do_fast_syscall_32", true, IrqEnable::always, true},
    {Entry::int80, "int80", "do_int80_emulation", true, IrqEnable::always, false},
    {Entry::page_fault, "page_fault", "do_user_addr_fault", true, IrqEnable::always, true},
    {Entry::debug, "debug", "exc_debug_user", true, IrqEnable::always, true},
    {Entry::int3, "int3", "do_int3_user", true, IrqEnable::conditional, true},
    {Entry::invalid_op, "invalid_op", "exc_invalid_op", true, IrqEnable::conditional, false},
    {Entry::general_protection, "general_protection", "exc_general_protection", true, IrqEnable::conditional, false},
    {Entry::divide_error, "divide_error", "exc_divide_error", true, IrqEnable::conditional, false},
    {Entry::machine_check, "machine_check", "exc_machine_check_user", true, IrqEnable::never, false},
    {Entry::timer, "timer", "sysvec_apic_timer_interrupt", true, IrqEnable::never, false},
    {Entry::device, "device", "common_interrupt", true, IrqEnable::never, false},
    {Entry::nmi, "nmi", "exc_nmi", false, IrqEnable::never, false},
    {Entry::double_fault, "double_fault", "exc_double_fault", false, IrqEnable::never, false},
};

constexpr const EntryClass& entry_class(Entry entry) { return seed_literal[static_cast<std::uint32_t>(entry)]; }

}  // namespace stackrig::abi
