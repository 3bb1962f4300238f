// The scheduler: who runs next is a choice point; the switch follows Linux's __switch_to_asm / __switch_to.
#include "guest/kernel/sched.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/queue.hpp"
#include "guest/kernel/smp.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/tlb.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {

extern "C" Thread* __switch_to_asm(Thread* prev, Thread* next);

RawSpinLock sched_lock;

namespace {

Thread* pick_next(PerCpu* pc) {
    if (pc->run_queue.head == nullptr || pc->going_down != 0) {
        return pc->idle;
    }
    const u32 id = choose(abi::Choice::next, pc->run_queue.head->id, pc->cpu);
    // A wish: whoever asks from outside cannot see that the thread is on its way to another CPU, and on no queue.
    Thread* wanted = dequeue_id(pc->run_queue, id);
    return wanted != nullptr ? wanted : dequeue(pc->run_queue);
}

/// sched_lock held. The thread's stack is nobody's any more.
void enqueue_on(Thread* t, u32 cpu) {
    t->cpu = cpu;
    enqueue(state()->percpu[cpu]->run_queue, t);
    if (cpu != this_cpu()->cpu) {
        send_ipi(cpu, abi::reschedule_vector);
    }
}

/// The running thread stays runnable: here, or, when it is to move, on no queue until its stack is free.
void put_prev(PerCpu* pc, Thread* prev) {
    if (prev->state != ThreadState::running || prev == pc->idle) {
        return;
    }
    prev->state = ThreadState::runnable;
    if (prev->cpu == pc->cpu && pc->going_down == 0) {
        enqueue(pc->run_queue, prev);
    }
}

/// The dead thread's resources, released by whoever runs after it (Linux: finish_task_switch(), put_task_stack()).
void reap(Thread* dead) {
    scheme().release(dead);
    if (dead->kind == ThreadKind::user) {
        leave_mm(dead);
    }
    dead->state = ThreadState::unused;
    mark(Mark::stack_free, dead->id, dead->slot);
}

void move_on(PerCpu* pc, Thread* t) {
    const u32 to = online_cpu(pc->going_down != 0 && t->cpu == pc->cpu ? (pc->cpu == 0 ? 1 : 0) : t->cpu);
    const Locked lock(sched_lock);
    mark(Mark::migrate, t->id, pc->cpu, to);
    enqueue_on(t, to);
}

}  // namespace

void finish_task_switch() {
    PerCpu* pc = this_cpu();
    Thread* prev = pc->switched_from;
    pc->switched_from = nullptr;
    mark(Mark::switched, prev->id, pc->current->id);
    if (prev->state == ThreadState::dead) {
        reap(prev);
        return;
    }
    scheme().switched(prev, pc->current);
    const bool moves = prev->cpu != pc->cpu || pc->going_down != 0;
    if (prev != pc->idle && prev->state == ThreadState::runnable && moves) {
        move_on(pc, prev);
    }
}

void schedule() {
    const IrqSave irqs;
    PerCpu* pc = this_cpu();
    Thread* prev = pc->current;
    prev->work &= ~abi::work_need_resched;
    scheme().scheduling(pc);
    sched_lock.lock();
    put_prev(pc, prev);
    Thread* next = pick_next(pc);
    next->state = ThreadState::running;
    sched_lock.unlock();
    if (next == prev) {
        return;
    }
    mark(Mark::switch_to, prev->id, next->id);
    if (next->cr3 != read_cr3()) {
        switch_mm(next->cr3);
    }
    scheme().switching(pc, next);
    __switch_to_asm(prev, next);
    finish_task_switch();
}

void block_current(Queue* queue, WaitKind kind, u32 object) {
    Thread* t = current();
    t->state = ThreadState::blocked;
    t->wait_kind = kind;
    t->wait_object = object;
    if (queue != nullptr) {
        enqueue(*queue, t);
    }
    mark(Mark::sleep, t->id, static_cast<u64>(kind), object);
}

void sleep() {
    schedule();
    scheme().resumed(current());
}

void make_runnable(Thread* t) {
    mark(Mark::wake, t->id, static_cast<u64>(t->wait_kind), t->wait_object);
    t->state = ThreadState::runnable;
    t->wait_kind = WaitKind::none;
    enqueue_on(t, online_cpu(t->cpu));
}

void wake_one_locked(Queue& queue) {
    Thread* t = dequeue(queue);
    if (t != nullptr) {
        make_runnable(t);
    }
}

void wake_one(Queue& queue) {
    const Locked lock(sched_lock);
    wake_one_locked(queue);
}

void wake_waiter(Queue& queue, Thread* t) {
    const Locked lock(sched_lock);
    if (dequeue_id(queue, t->id) != nullptr) {
        make_runnable(t);
    }
}

void migrate_to(u32 cpu) {
    const IrqSave irqs;
    current()->cpu = cpu;
    schedule();
}

void evacuate(PerCpu* pc) {
    while (pc->run_queue.head != nullptr) {
        sched_lock.lock();
        Thread* t = dequeue(pc->run_queue);
        sched_lock.unlock();
        if (t != nullptr) {
            move_on(pc, t);
        }
    }
}

[[noreturn]] void do_exit(u32 signal) {
    local_irq_disable();
    Thread* t = current();
    mark(Mark::thread_exit, t->id, signal);
    t->state = ThreadState::dead;
    schedule();
    panic("a dead thread was scheduled");
}

[[noreturn]] void cpu_idle() {
    for (;;) {
        local_irq_disable();
        PerCpu* pc = this_cpu();
        if (pc->going_down != 0) {
            play_dead();
        }
        if (pc->run_queue.head != nullptr) {
            schedule();
            continue;
        }
        mark(Mark::idle, pc->cpu);
        asm volatile("sti; hlt" : : : "memory");  // the STI shadow closes the gap between test and halt
    }
}

/// RSP is on `next`'s stack already; whoever reads `current` here must be it (Linux: __switch_to()).
extern "C" Thread* __switch_to(Thread* prev, Thread* next) {
    PerCpu* pc = this_cpu();
    pc->current = next;
    pc->kernel_top = abi::stack_top(next->slot);
    pc->switched_from = prev;
    return prev;
}

}  // namespace guest
