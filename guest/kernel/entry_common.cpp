// The common part of every entry from user mode: hooks, IRQ-enable sites, exit-work loop.
#include "guest/kernel/entry_common.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/depth.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/syscall.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {
namespace {

void arch_do_signal(PtRegs* regs) {
    Thread* t = current();
    const u32 signal = t->signal;
    t->signal = 0;
    t->work &= ~abi::work_signal;
    mark(Mark::signal, t->id, signal);
    const u64 resume = program_of(t)->resume;
    if (resume == 0) {
        do_exit(signal);
    }
    regs->ip = resume;
}

void exit_to_user_mode_loop(PtRegs* regs) {
    Thread* t = current();
    while (t->work != 0) {
        const u32 work = t->work;
        mark(Mark::loop_begin, t->id, work);
        local_irq_enable();
        mark(Mark::loop_irq_on, t->id, work);
        if ((work & abi::work_need_resched) != 0) {
            schedule();
        }
        if ((work & abi::work_signal) != 0) {
            arch_do_signal(regs);
        }
        local_irq_disable();
    }
}

}  // namespace

void enter_from_user_mode(Entry entry) {
    Thread* t = current();
    t->entry = entry;
    scheme().enter(t, entry);
}

void exit_to_user_mode() {
    Thread* t = current();
    scheme().exit(t);
    t->entry = Entry::none;
}

void irqentry_enter_from_user_mode(Entry entry) { enter_from_user_mode(entry); }

void irqentry_exit_to_user_mode(PtRegs* regs) {
    exit_to_user_mode_loop(regs);
    exit_to_user_mode();
}

void syscall_exit_to_user_mode(PtRegs* regs) {
    local_irq_disable();
    irqentry_exit_to_user_mode(regs);
}

void entry_irq_enable() {
    Thread* t = current();
    local_irq_enable();
    mark(Mark::irq_on, t->id, static_cast<u64>(t->entry));
    scheme().wait(t);
}

void entry_cond_irq_enable(const PtRegs* regs) {
    if ((regs->flags & rflags_if) != 0) {
        entry_irq_enable();
    }
}

void force_sig(u32 signal) {
    Thread* t = current();
    t->signal = signal;
    t->work |= abi::work_signal;
}

void run_handler(Entry entry, bool from_user) {
    mark(Mark::handler_begin, static_cast<u64>(entry), from_user);
    use_stack(boot_params().depth[static_cast<u32>(entry)]);
    mark(Mark::handler_end, static_cast<u64>(entry), from_user);
}

}  // namespace guest
