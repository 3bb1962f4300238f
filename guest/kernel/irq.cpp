// Interrupts, NMI and machine check: entries that never enable IRQs themselves.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/depth.hpp"
#include "guest/kernel/entry_common.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/tlb.hpp"
#include "guest/stack/scheme.hpp"

extern "C" {
void call_on_irqstack(void (*function)(uint64_t), uint64_t argument);
/// Read by asm_exc_nmi before anything else: NMIs from user mode stay on their IST stack.
uint32_t nmi_stays_on_ist;
}

namespace guest {
namespace {

constexpr u32 msr_mcg_status = 0x17a;

void handle_timer() {
    PerCpu* pc = this_cpu();
    if (pc->current != pc->idle && choose(abi::Choice::resched, pc->cpu, pc->current->id) != 0) {
        pc->current->work |= abi::work_need_resched;
    }
}

void handle_reschedule() {
    PerCpu* pc = this_cpu();
    if (pc->going_down != 0 && pc->current != pc->idle) {
        pc->current->work |= abi::work_need_resched;
    }
}

void handle_irq(Entry entry, bool from_user) {
    run_handler(entry, from_user);
    switch (entry) {
        case Entry::timer: handle_timer(); break;
        case Entry::reschedule: handle_reschedule(); break;
        case Entry::call_function:
            acknowledge_flush();
            scheme().asked_for_pages(this_cpu());
            break;
        default: break;
    }
}

/// What the interrupt raised, with IRQs on, where the handler ran (Linux: invoke_softirq() on the current stack).
void run_softirq() {
    PerCpu* pc = this_cpu();
    if (boot_params().softirq_depth == 0 || pc->in_softirq != 0) {
        return;
    }
    write_once(pc->preempt_count, pc->preempt_count + 1);
    write_once(pc->in_softirq, 1u);
    local_irq_enable();
    use_stack(boot_params().softirq_depth);
    local_irq_disable();
    write_once(pc->in_softirq, 0u);
    write_once(pc->preempt_count, pc->preempt_count - 1);
}

void handle_with_softirq(Entry entry, bool from_user) {
    handle_irq(entry, from_user);
    if (entry == Entry::device) {
        run_softirq();
    }
}

void handle_kernel_irq(u64 entry) { handle_with_softirq(static_cast<Entry>(entry), false); }
void handle_user_irq(u64 entry) { handle_with_softirq(static_cast<Entry>(entry), true); }

void on_irq_stack(void (*handler)(u64), Entry entry) {
    PerCpu* pc = this_cpu();
    if (++pc->irq_nesting == 1) {
        call_on_irqstack(handler, static_cast<u64>(entry));
    } else {
        handler(static_cast<u64>(entry));
    }
    --pc->irq_nesting;
}

/// From user mode the task stack is empty and the handler runs on it; from the kernel it moves to the IRQ stack
/// unless it is on it already (Linux: call_on_irqstack_cond()).
void run_irq(PtRegs* regs, Entry entry) {
    if (!user_mode(regs)) {
        on_irq_stack(handle_kernel_irq, entry);
        irqentry_exit_to_kernel(regs);
        return;
    }
    irqentry_enter_from_user_mode(entry, regs);
    if (policies().irq_from_user == abi::IrqFromUser::irq_stack || current()->pend != 0) {
        on_irq_stack(handle_user_irq, entry);
    } else {
        handle_user_irq(static_cast<u64>(entry));
    }
    irqentry_exit_to_user_mode(regs);
}

}  // namespace
}  // namespace guest

extern "C" {

using namespace guest;

void common_interrupt(PtRegs* regs) { run_irq(regs, Entry::device); }
void sysvec_apic_timer_interrupt(PtRegs* regs) { run_irq(regs, Entry::timer); }
void sysvec_reschedule_ipi(PtRegs* regs) { run_irq(regs, Entry::reschedule); }
void sysvec_call_function(PtRegs* regs) { run_irq(regs, Entry::call_function); }

/// From user mode this calls neither hook and does no exit work (Linux: exc_nmi()).
void exc_nmi(PtRegs* regs) { run_handler(Entry::nmi, user_mode(regs)); }

void exc_machine_check_user(PtRegs* regs) {
    irqentry_enter_from_user_mode(Entry::machine_check, regs);
    run_handler(Entry::machine_check, true);
    wrmsr(msr_mcg_status, 0);
    irqentry_exit_to_user_mode(regs);
}

void exc_machine_check_kernel(PtRegs*) {
    run_handler(Entry::machine_check, false);
    wrmsr(msr_mcg_status, 0);
}

}  // extern "C"
