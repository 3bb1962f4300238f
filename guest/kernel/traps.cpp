// C handlers of system calls and exceptions, named as in Linux (arch/x86/kernel/traps.c, mm/fault.c, entry/common.c).
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/entry_common.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/signal.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/sync.hpp"
#include "guest/kernel/syscall.hpp"

namespace guest {
namespace {

constexpr u64 pf_write = 1u << 1;  // #PF error code bits (SDM 4.7)
constexpr u64 pf_user = 1u << 2;
constexpr u64 pf_reserved = 1u << 3;
constexpr u64 pf_instruction = 1u << 4;
constexpr u64 kernel_half = 0xffff800000000000;

void finish(PtRegs* regs) {
    local_irq_disable();
    irqentry_exit_to_user_mode(regs);
}

/// User exceptions that end in a signal: Linux's do_error_trap(), exc_general_protection(), math_error(), exc_bounds().
void do_error_trap(PtRegs* regs, Entry entry, u32 signal) {
    irqentry_enter_from_user_mode(entry, regs);
    if (!bails_out(entry)) {
        entry_cond_irq_enable(regs);
    }
    run_handler(entry, true);
    force_sig(signal);
    finish(regs);
}

/// An exception that no kernel code may cause.
void user_only(PtRegs* regs, Entry entry, u32 signal) {
    if (!user_mode(regs)) {
        panic("an exception in kernel mode that only user mode may cause");
    }
    do_error_trap(regs, entry, signal);
}

bool is_bug(const PtRegs* regs) {
    return regs->ip >= abi::kernel_map_base && *reinterpret_cast<const u16*>(regs->ip) == 0x0b0f;
}

// Named in the mail, and places for scenarios: hence never inlined, here and below.
[[gnu::noinline]] void do_user_addr_fault(PtRegs* regs, u64 address) {
    if (!bails_out(Entry::page_fault)) {
        entry_irq_enable();
    }
    run_handler(Entry::page_fault, true);
    if (!map_demand_page(current(), address)) {
        force_sig(sigsegv);
    }
    finish(regs);
}

/// A user access to a kernel address: __bad_area_nosemaphore() enables IRQs and sends the signal.
[[gnu::noinline]] void do_kern_addr_fault(PtRegs* regs) {
    entry_irq_enable();
    run_handler(Entry::kernel_address, true);
    force_sig(sigsegv);
    finish(regs);
}

/// The hypervisor says that the page is on its way: sleep until it says that it is there.
[[gnu::noinline]] void kvm_async_pf_task_wait_schedule(PtRegs* regs, u64 token) {
    this_cpu()->apf_reason = 0;
    irqentry_enter_from_user_mode(Entry::async_page_fault, regs);
    entry_irq_enable();
    run_handler(Entry::async_page_fault, true);
    event_wait(static_cast<u32>(token % object_count));
    finish(regs);
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
    if (!bails_out(Entry::int3)) {
        entry_cond_irq_enable(regs);
    }
    run_handler(Entry::int3, true);
    finish(regs);
}

}  // namespace
}  // namespace guest

extern "C" {

using namespace guest;

// The one place where the kernel may read what is not mapped (guest_asm/switch.S).
extern char nofault_load[], nofault_failed[];

/// Copies the frame from the entry trampoline stack to the top of the task stack.
PtRegs* sync_regs(const PtRegs* from) {
    PtRegs* to = reinterpret_cast<PtRegs*>(this_cpu()->kernel_top) - 1;
    *to = *from;
    return to;
}

/// The frame that IRET refused, as if user mode had caused the exception (Linux: fixup_bad_iret()).
PtRegs* fixup_bad_iret(const PtRegs* bad) {
    const u64* refused = reinterpret_cast<const u64*>(bad->sp);
    PtRegs* to = reinterpret_cast<PtRegs*>(this_cpu()->kernel_top) - 1;
    *to = *bad;
    to->ip = refused[0];
    to->cs = refused[1];
    to->flags = refused[2];
    to->sp = refused[3];
    to->ss = refused[4];
    return to;
}

void do_syscall_64(PtRegs* regs, u64 number) {
    enter_from_user_mode(Entry::syscall64, regs);
    entry_irq_enable();
    regs->ax = run_syscall(number, regs->di, regs->si, Entry::syscall64);
    syscall_exit_to_user_mode(regs);
}

[[gnu::noinline]] static void __do_fast_syscall_32(PtRegs* regs, u64 number) {
    enter_from_user_mode(Entry::syscall32, regs);
    entry_irq_enable();
    regs->ax = run_syscall(number, static_cast<u32>(regs->di), static_cast<u32>(regs->si), Entry::syscall32);
    syscall_exit_to_user_mode(regs);
}

void do_fast_syscall_32(PtRegs* regs, u64 number) { __do_fast_syscall_32(regs, number); }

void do_int80_emulation(PtRegs* regs) {
    irqentry_enter_from_user_mode(Entry::int80, regs);
    entry_irq_enable();
    regs->ax = run_syscall(regs->ax, regs->di, regs->si, Entry::int80);
    syscall_exit_to_user_mode(regs);
}

void exc_page_fault(PtRegs* regs, u64 error_code) {
    const u64 address = read_cr2();
    if (user_mode(regs)) {
        if (this_cpu()->apf_reason != 0) {
            kvm_async_pf_task_wait_schedule(regs, address);
        } else if (address >= kernel_half) {
            irqentry_enter_from_user_mode(Entry::kernel_address, regs);
            do_kern_addr_fault(regs);
        } else {
            irqentry_enter_from_user_mode(Entry::page_fault, regs);
            do_user_addr_fault(regs, address);
        }
        return;
    }
    if (regs->ip == reinterpret_cast<u64>(nofault_load)) {
        regs->ip = reinterpret_cast<u64>(nofault_failed);
        return;
    }
    run_handler(Entry::page_fault, false);
    if (!spurious_kernel_fault(error_code, address)) {
        panic("#PF: a bad address in kernel mode");
    }
}

void exc_debug_user(PtRegs* regs) {
    write_dr6(0xffff0ff0);
    irqentry_enter_from_user_mode(Entry::debug, regs);
    if (!bails_out(Entry::debug)) {
        entry_irq_enable();
    }
    run_handler(Entry::debug, true);
    regs->flags &= ~rflags_tf;  // one step asked for, one step taken
    finish(regs);
}

void exc_debug_kernel(PtRegs*) {
    write_dr6(0xffff0ff0);
    run_handler(Entry::debug, false);
}

void exc_int3(PtRegs* regs) {
    if (user_mode(regs)) {
        irqentry_enter_from_user_mode(Entry::int3, regs);
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

void exc_divide_error(PtRegs* regs) { user_only(regs, Entry::divide_error, sigfpe); }
void exc_overflow(PtRegs* regs) { user_only(regs, Entry::overflow, sigsegv); }
void exc_bounds(PtRegs* regs) { user_only(regs, Entry::bounds, sigsegv); }
void exc_invalid_tss(PtRegs* regs) { user_only(regs, Entry::invalid_tss, sigsegv); }
void exc_segment_not_present(PtRegs* regs) { user_only(regs, Entry::segment_not_present, sigbus); }
void exc_stack_segment(PtRegs* regs) { user_only(regs, Entry::stack_segment, sigbus); }
void exc_coprocessor_error(PtRegs* regs) { user_only(regs, Entry::x87, sigfpe); }
void exc_simd_coprocessor_error(PtRegs* regs) { user_only(regs, Entry::simd, sigfpe); }

/// IRQs go on whatever the interrupted context had: split-lock handling may sleep.
void exc_alignment_check(PtRegs* regs) {
    irqentry_enter_from_user_mode(Entry::alignment_check, regs);
    entry_irq_enable();
    run_handler(Entry::alignment_check, true);
    force_sig(sigbus);
    finish(regs);
}

/// XFD: the first use of a large register state allocates its buffer (Linux: handle_xfd_event()).
void exc_device_not_available(PtRegs* regs) {
    irqentry_enter_from_user_mode(Entry::device_not_available, regs);
    entry_irq_enable();
    run_handler(Entry::device_not_available, true);
    finish(regs);
}

void exc_unexpected(PtRegs*) { panic("an exception for which there is no handler"); }

void exc_double_fault(PtRegs*) {
    mark(Mark::handler_begin, static_cast<u64>(Entry::double_fault), 0);
    panic("#DF: double fault");
}

}  // extern "C"
