// The scheduler: who runs next is a choice point; the switch follows Linux's __switch_to_asm / __switch_to.
#include "guest/kernel/sched.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/queue.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {

extern "C" Thread* __switch_to_asm(Thread* prev, Thread* next);

namespace {

Thread* pick_next(PerCpu* pc) {
    if (pc->run_queue.head == nullptr) {
        return pc->idle;
    }
    const u32 id = choose(abi::Choice::next, pc->run_queue.head->id, pc->cpu);
    Thread* next = dequeue_id(pc->run_queue, id);
    if (next == nullptr) {
        panic("the answer to choice `next` is no runnable thread of this CPU");
    }
    return next;
}

void make_runnable(Thread* t) {
    t->state = ThreadState::runnable;
    t->wait_kind = WaitKind::none;
    enqueue(state()->percpu[t->cpu]->run_queue, t);
}

/// The dead thread's resources, released by whoever runs after it (Linux: finish_task_switch(), put_task_stack()).
void reap(Thread* dead) {
    scheme().release(dead);
    const u32 top_pfn = static_cast<u32>((*stack_pte(dead->slot, 0) & pte_frame_mask) / abi::page_bytes);
    *stack_pte(dead->slot, 0) = 0;
    invlpg(abi::stack_page(dead->slot, 0));
    free_page(top_pfn);
    if (dead->kind == ThreadKind::user) {
        free_mm(dead);
    }
    dead->state = ThreadState::unused;
    mark(Mark::stack_free, dead->id, dead->slot);
}

}  // namespace

void finish_task_switch() {
    PerCpu* pc = this_cpu();
    Thread* prev = pc->switched_from;
    pc->switched_from = nullptr;
    mark(Mark::switched, prev->id, pc->current->id);
    if (prev->state == ThreadState::dead) {
        reap(prev);
    }
}

void schedule() {
    const IrqSave irqs;
    PerCpu* pc = this_cpu();
    Thread* prev = pc->current;
    prev->work &= ~abi::work_need_resched;
    if (prev->state == ThreadState::running && prev != pc->idle) {
        prev->state = ThreadState::runnable;
        enqueue(pc->run_queue, prev);
    }
    Thread* next = pick_next(pc);
    next->state = ThreadState::running;
    if (next == prev) {
        return;
    }
    mark(Mark::switch_to, prev->id, next->id);
    if (next->cr3 != read_cr3()) {
        write_cr3(next->cr3);
    }
    __switch_to_asm(prev, next);
    finish_task_switch();
}

void sleep_on(Queue& queue, WaitKind kind, u32 object) {
    Thread* t = current();
    t->state = ThreadState::blocked;
    t->wait_kind = kind;
    t->wait_object = object;
    enqueue(queue, t);
    mark(Mark::sleep, t->id, static_cast<u64>(kind), object);
    schedule();
}

void wake_one(Queue& queue) {
    Thread* t = dequeue(queue);
    if (t != nullptr) {
        mark(Mark::wake, t->id, static_cast<u64>(t->wait_kind), t->wait_object);
        make_runnable(t);
    }
}

void wake_all(Queue& queue) {
    while (queue.head != nullptr) {
        wake_one(queue);
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
        if (this_cpu()->run_queue.head != nullptr) {
            schedule();
            continue;
        }
        mark(Mark::idle, this_cpu()->cpu);
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
