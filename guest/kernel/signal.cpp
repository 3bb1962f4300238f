// Sending, and delivering in the exit loop.
#include "guest/kernel/signal.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/entry_common.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/syscall.hpp"

namespace guest {

void force_sig(u32 signal) {
    Thread* t = current();
    t->signal = signal;
    t->work |= abi::work_signal;
}

void kill_thread(Thread* t) {
    const IrqSave irqs;
    if (t->state == ThreadState::unused || t->state == ThreadState::dead) {
        return;
    }
    mark(Mark::kill, t->id, sigkill);
    t->signal = sigkill;
    t->work |= abi::work_signal;
    if (policies().kill != abi::Kill::uninterruptible) {
        wake_waiter(state()->page_waiters, t);
    }
}

bool fatal_signal_pending(const Thread* t) { return t->signal == sigkill; }

void arch_do_signal(PtRegs* regs) {
    Thread* t = current();
    const u32 signal = t->signal;
    t->signal = 0;
    t->work &= ~abi::work_signal;
    mark(Mark::signal, t->id, signal);
    const u64 resume = program_of(t)->resume;
    if (signal == sigkill || resume == 0) {
        do_exit(signal);
    }
    regs->ip = resume;
    regs->ss = abi::user_ds;  // what the program was killed for may be its own frame
}

}  // namespace guest
