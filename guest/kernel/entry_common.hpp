// Entry from and exit to user mode, as kernel/entry/common.c names it.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

/// Establishes kernel state for `entry`; IRQs off. The scheme's hook runs here.
void enter_from_user_mode(Entry entry, const PtRegs* regs);
/// The last C code before user mode; IRQs off. The scheme's other hook runs here.
void exit_to_user_mode();

void irqentry_enter_from_user_mode(Entry entry, const PtRegs* regs);
/// Exit work (reschedule, signals) with IRQs on, then exit_to_user_mode(). Called with IRQs off.
void irqentry_exit_to_user_mode(PtRegs* regs);
/// The same for system calls and new threads. Called with IRQs on.
void syscall_exit_to_user_mode(PtRegs* regs);
/// Back to interrupted kernel code: preemption, where the kernel is preemptible (Linux: irqentry_exit_cond_resched()).
void irqentry_exit_to_kernel(const PtRegs* regs);

/// The IRQ-enable site of the current entry: from here it may sleep, and waits for stack pages it is owed.
void entry_irq_enable();
/// Only when the interrupted user context had IRQs on (Linux: cond_local_irq_enable()).
void entry_cond_irq_enable(const PtRegs* regs);
/// Whether this entry's handler returns before its IRQ-enable site (a notifier consumed the event).
bool bails_out(Entry entry);

/// A signal for the current thread, delivered in the exit loop.
void force_sig(u32 signal);
/// The handler's own stack use for `entry`, between its marks.
void run_handler(Entry entry, bool from_user);

/// Where the registers of a thread's user mode are saved.
inline PtRegs* task_pt_regs(const Thread* t) { return reinterpret_cast<PtRegs*>(abi::stack_top(t->slot)) - 1; }

}  // namespace guest
