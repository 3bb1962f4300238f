// Interrupts, NMI and machine check: entries that never enable IRQs themselves.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/entry_common.hpp"
#include "guest/kernel/mark.hpp"

extern "C" void call_on_irqstack(void (*function)(uint64_t), uint64_t argument);

namespace guest {
namespace {

constexpr u32 msr_mcg_status = 0x17a;

void handle_timer() {
    PerCpu* pc = this_cpu();
    if (pc->current != pc->idle && choose(abi::Choice::resched, pc->cpu, pc->current->id) != 0) {
        pc->current->work |= abi::work_need_resched;
    }
}

void handle_irq(Entry entry, bool from_user) {
    run_handler(entry, from_user);
    if (entry == Entry::timer) {
        handle_timer();
    }
}

void handle_kernel_irq(u64 entry) { handle_irq(static_cast<Entry>(entry), false); }

/// From user mode the task stack is empty and the handler runs on it; from the kernel it moves to the IRQ stack
/// unless it is on it already (Linux: call_on_irqstack_cond()).
void run_irq(PtRegs* regs, Entry entry) {
    if (user_mode(regs)) {
        irqentry_enter_from_user_mode(entry);
        handle_irq(entry, true);
        irqentry_exit_to_user_mode(regs);
        return;
    }
    PerCpu* pc = this_cpu();
    if (++pc->irq_nesting == 1) {
        call_on_irqstack(handle_kernel_irq, static_cast<u64>(entry));
    } else {
        handle_irq(entry, false);
    }
    --pc->irq_nesting;
}

}  // namespace
}  // namespace guest

extern "C" {

using namespace guest;

void common_interrupt(PtRegs* regs) { run_irq(regs, Entry::device); }
void sysvec_apic_timer_interrupt(PtRegs* regs) { run_irq(regs, Entry::timer); }

/// From user mode this runs on the task stack, calls neither hook, and does no exit work (Linux: exc_nmi()).
void exc_nmi(PtRegs* regs) { run_handler(Entry::nmi, user_mode(regs)); }

void exc_machine_check_user(PtRegs* regs) {
    irqentry_enter_from_user_mode(Entry::machine_check);
    run_handler(Entry::machine_check, true);
    wrmsr(msr_mcg_status, 0);
    irqentry_exit_to_user_mode(regs);
}

void exc_machine_check_kernel(PtRegs*) {
    run_handler(Entry::machine_check, false);
    wrmsr(msr_mcg_status, 0);
}

}  // extern "C"
