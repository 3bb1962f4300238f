// C handlers of system calls and exceptions, named as in Linux (arch/x86/kernel/traps.c, mm/fault.c, entry/common.c).
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/entry_common.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/syscall.hpp"

namespace guest {
namespace {

constexpr u32 sigill = 4;
constexpr u32 sigfpe = 8;
constexpr u32 sigsegv = 11;

constexpr u64 pf_write = 1u << 1;  // #PF error code bits (SDM 4.7)
constexpr u64 pf_user = 1u << 2;
constexpr u64 pf_reserved = 1u << 3;
constexpr u64 pf_instruction = 1u << 4;

/// User exceptions that end in a signal: Linux's do_error_trap() and exc_general_protection().
void do_error_trap(PtRegs* regs, Entry entry, u32 signal) {
    irqentry_enter_from_user_mode(entry);
    entry_cond_irq_enable(regs);
    run_handler(entry, true);
    force_sig(signal);
    local_irq_disable();
    irqentry_exit_to_user_mode(regs);
}

bool is_bug(const PtRegs* regs) {
    return regs->ip >= abi::kernel_map_base && *reinterpret_cast<const u16*>(regs->ip) == 0x0b0f;
}

// Named in the mail, and places for scenarios: hence never inlined, here and below.
[[gnu::noinline]] void do_user_addr_fault(PtRegs* regs, u64 address) {
    entry_irq_enable();
    run_handler(Entry::page_fault, true);
    if (!map_demand_page(current(), address)) {
        force_sig(sigsegv);
    }
    local_irq_disable();
    irqentry_exit_to_user_mode(regs);
}

/// A kernel fault on a mapping that allows the access by now (Linux: spurious_kernel_fault()).
bool spurious_kernel_fault(u64 error_code, u64 address) {
    if ((error_code & (pf_user | pf_reserved)) != 0) {
        return false;
    }
    const u64 pte = lookup_pte(read_cr3(), address);
    if ((pte & pte_present) == 0 || ((error_code & pf_write) != 0 && (pte & pte_write) == 0)) {
        return false;
    }
    return (error_code & pf_instruction) == 0 || (pte & pte_nx) == 0;
}

[[gnu::noinline]] void do_int3_user(PtRegs* regs) {
    entry_cond_irq_enable(regs);
    run_handler(Entry::int3, true);
    local_irq_disable();
    irqentry_exit_to_user_mode(regs);
}

}  // namespace
}  // namespace guest

extern "C" {

using namespace guest;

/// Copies the frame from the entry trampoline stack to the top of the task stack.
PtRegs* sync_regs(const PtRegs* from) {
    PtRegs* to = reinterpret_cast<PtRegs*>(this_cpu()->kernel_top) - 1;
    *to = *from;
    return to;
}

void do_syscall_64(PtRegs* regs, u64 number) {
    enter_from_user_mode(Entry::syscall64);
    entry_irq_enable();
    regs->ax = run_syscall(number, regs->di, regs->si, Entry::syscall64);
    syscall_exit_to_user_mode(regs);
}

[[gnu::noinline]] static void __do_fast_syscall_32(PtRegs* regs, u64 number) {
    enter_from_user_mode(Entry::syscall32);
    entry_irq_enable();
    regs->ax = run_syscall(number, static_cast<u32>(regs->di), static_cast<u32>(regs->si), Entry::syscall32);
    syscall_exit_to_user_mode(regs);
}

void do_fast_syscall_32(PtRegs* regs, u64 number) { __do_fast_syscall_32(regs, number); }

void do_int80_emulation(PtRegs* regs) {
    irqentry_enter_from_user_mode(Entry::int80);
    entry_irq_enable();
    regs->ax = run_syscall(regs->ax, regs->di, regs->si, Entry::int80);
    syscall_exit_to_user_mode(regs);
}

void exc_page_fault(PtRegs* regs, u64 error_code) {
    const u64 address = read_cr2();
    if (user_mode(regs)) {
        irqentry_enter_from_user_mode(Entry::page_fault);
        do_user_addr_fault(regs, address);
        return;
    }
    run_handler(Entry::page_fault, false);
    if (!spurious_kernel_fault(error_code, address)) {
        panic("#PF: a bad address in kernel mode");
    }
}

void exc_debug_user(PtRegs* regs) {
    write_dr6(0xffff0ff0);
    irqentry_enter_from_user_mode(Entry::debug);
    entry_irq_enable();
    run_handler(Entry::debug, true);
    regs->flags &= ~rflags_tf;  // one step asked for, one step taken
    local_irq_disable();
    irqentry_exit_to_user_mode(regs);
}

void exc_debug_kernel(PtRegs*) {
    write_dr6(0xffff0ff0);
    run_handler(Entry::debug, false);
}

void exc_int3(PtRegs* regs) {
    if (user_mode(regs)) {
        irqentry_enter_from_user_mode(Entry::int3);
        do_int3_user(regs);
        return;
    }
    run_handler(Entry::int3, false);
}

void exc_invalid_op(PtRegs* regs) {
    if (user_mode(regs)) {
        do_error_trap(regs, Entry::invalid_op, sigill);
        return;
    }
    run_handler(Entry::invalid_op, false);
    if (is_bug(regs)) {
        panic("#UD: BUG() in kernel mode");
    }
}

void exc_general_protection(PtRegs* regs) {
    if (user_mode(regs)) {
        do_error_trap(regs, Entry::general_protection, sigsegv);
        return;
    }
    run_handler(Entry::general_protection, false);
    panic("#GP in kernel mode");
}

void exc_divide_error(PtRegs* regs) {
    if (user_mode(regs)) {
        do_error_trap(regs, Entry::divide_error, sigfpe);
        return;
    }
    panic("#DE in kernel mode");
}

void exc_unexpected(PtRegs*) { panic("an exception for which there is no handler"); }

void exc_double_fault(PtRegs*) {
    mark(Mark::handler_begin, static_cast<u64>(Entry::double_fault), 0);
    panic("#DF: double fault");
}

}  // extern "C"
