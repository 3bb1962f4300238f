// The common part of every entry from user mode: hooks, IRQ-enable sites, exit-work loop.
#include "guest/kernel/entry_common.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/depth.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/signal.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {
namespace {

void exit_to_user_mode_loop(PtRegs* regs) {
    Thread* t = current();
    while (t->work != 0) {
        const u32 work = t->work;
        mark(Mark::loop_begin, t->id, work);
        scheme().loop_begin(t);
        local_irq_enable();
        mark(Mark::loop_irq_on, t->id, work);
        if ((work & abi::work_need_resched) != 0) {
            schedule();
        }
        if ((work & abi::work_signal) != 0) {
            scheme().wait(t);  // dying and signal frames go deep
            arch_do_signal(regs);
        }
        local_irq_disable();
    }
}

}  // namespace

void enter_from_user_mode(Entry entry, const PtRegs* regs) {
    Thread* t = current();
    t->entry = entry;
    t->irqs_on_at_entry = (regs->flags & rflags_if) != 0 ? 1 : 0;
    scheme().enter(t, entry);
}

void exit_to_user_mode() {
    Thread* t = current();
    if (policies().erase == abi::Erase::before_exit) {
        erase_stack(t);
    }
    scheme().exit(t);
    if (policies().erase == abi::Erase::after_exit) {
        erase_stack(t);
    }
    t->entry = Entry::none;
    t->irqs_on_at_entry = 0;
    t->lowest_rsp = abi::stack_page(t->slot, 0);  // Linux: stackleak_erase() puts it back on the way out, too
}

void irqentry_enter_from_user_mode(Entry entry, const PtRegs* regs) { enter_from_user_mode(entry, regs); }

void irqentry_exit_to_user_mode(PtRegs* regs) {
    exit_to_user_mode_loop(regs);
    exit_to_user_mode();
}

void syscall_exit_to_user_mode(PtRegs* regs) {
    local_irq_disable();
    irqentry_exit_to_user_mode(regs);
}

void irqentry_exit_to_kernel(const PtRegs* regs) {
    const PerCpu* pc = this_cpu();
    const bool wanted = (pc->current->work & abi::work_need_resched) != 0;
    if (policies().preempt == abi::Preempt::full && wanted && (regs->flags & rflags_if) != 0 && pc->preempt_count == 0 &&
        pc->irq_nesting == 0) {
        schedule();
    }
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

bool bails_out(Entry entry) { return (boot_params().bail_outs >> static_cast<u32>(entry) & 1) != 0; }

void run_handler(Entry entry, bool from_user) {
    const u32 depth = boot_params().depth[static_cast<u32>(entry)];
    mark(Mark::handler_begin, static_cast<u64>(entry), from_user, depth == 0);
    if (depth != 0) {
        use_stack(depth);
        mark(Mark::handler_end, static_cast<u64>(entry), from_user);
    }
}

}  // namespace guest
