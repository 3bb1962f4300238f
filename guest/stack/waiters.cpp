// "Once irq is enabled it is perfectly OK to sleep and wait for the stack pages to become available."
#include "guest/stack/waiters.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/queue.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/signal.hpp"
#include "guest/kernel/smp.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/entry_exit.hpp"
#include "guest/stack/pages.hpp"

namespace guest {
namespace {

using abi::Kill;
using abi::Wait;

bool handed_out() { return abi::handed_out(policies().wait); }

void line_up(Thread* t) {
    Queue& queue = state()->page_waiters;
    policies().wait == Wait::priority ? enqueue_by_priority(queue, t) : enqueue(queue, t);
}

void grant_to_hands(PerCpu* pc, Thread* t) {
    while (t->granted > 0) {
        push(pc->hands, t->grant[t->granted - 1]);
        write_once(t->granted, t->granted - 1);
    }
}

/// One page of the pool for each of P1..P3, for a thread that is to die.
bool take_emergency(PerCpu* pc, Thread* t) {
    if (policies().kill != Kill::emergency || !fatal_signal_pending(t)) {
        return false;
    }
    t->source = StackSource::pool;
    while (pc->hands.count < extra && take_from_pool(pc, t)) {
    }
    if (pc->hands.count == extra) {
        return true;
    }
    while (pc->hands.count > 0) {
        top_to_pool(pc, t);
    }
    return false;
}

/// Three pages in the hands; or none but those for which no cache has room: to free one wakes others, and sched_lock is held.
bool funded(PerCpu* pc, Thread* t) {
    if (t->granted == extra) {
        grant_to_hands(pc, t);
        t->source = StackSource::wait;
        return true;
    }
    if (take_emergency(pc, t)) {
        return true;
    }
    if (!must_queue() && take_ordinary(pc, t, true)) {
        t->source = StackSource::wait;
        return true;
    }
    while (pc->hands.count > 0 && try_top_to_cache(pc, t)) {
    }
    return false;
}

/// A waiter that leaves gives what it was handed and does not need to the next one.
void pass_on_grant(PerCpu* pc, Thread* t) {
    grant_to_hands(pc, t);
    while (pc->hands.count > 0) {
        if (!top_to_first_waiter(pc)) {
            top_to_cache(pc, t);
        }
    }
}

/// Pages may lie in the caches of this CPU and of others, too few in each.
void collect_pages(PerCpu* pc) {
    if (handed_out()) {
        serve_waiters(pc);
        send_ipi_to_others(abi::call_function_vector);
    }
}

/// GFP_KERNEL on the one page there is: what "wait for the page to become available" must not mean.
void wait_itself(Thread* t) {
    u32 pfn[extra];
    for (u32& one : pfn) {
        one = alloc_page(Gfp::kernel, FrameUse::kernel);
    }
    PerCpu* pc = this_cpu();
    for (const u32 one : pfn) {
        take_frame(pc, t, one, StackSource::wait);
    }
    t->source = StackSource::wait;
}

/// False: it goes without.
bool wait_in_queue(Thread* t) {
    for (;;) {
        PerCpu* pc = this_cpu();  // asked anew: the thread may have moved while asleep
        write_once(pc->hook_active, 1u);
        {
            const Locked lock(sched_lock);
            if (funded(pc, t)) {
                return true;
            }
            if (policies().kill == Kill::killable && fatal_signal_pending(t)) {
                return false;
            }
            line_up(t);
            block_current(nullptr, WaitKind::pages, 0);
        }
        hands_to_cache(pc, t);  // what is left in them is freed now
        write_once(pc->hook_active, 0u);
        collect_pages(pc);
        schedule();
    }
}

}  // namespace

bool must_queue() { return handed_out() && state()->page_waiters.head != nullptr; }

void wait_for_pages(Thread* t) {
    mark(Mark::wait_begin, t->id, static_cast<u64>(t->entry));
    local_irq_disable();
    bool got = true;
    if (policies().wait == Wait::itself) {
        wait_itself(t);
    } else {
        got = wait_in_queue(t);
    }
    PerCpu* pc = this_cpu();
    write_once(pc->hook_active, 1u);
    if (got) {
        map_extra(pc, t);
        write_once(t->pend, 0u);
    }
    pass_on_grant(pc, t);
    write_once(pc->hook_active, 0u);
    local_irq_enable();
    mark(Mark::wait_done, t->id, static_cast<u64>(t->entry));
}

bool top_to_first_waiter(PerCpu* pc) {
    if (!handed_out()) {
        return false;
    }
    const Locked lock(sched_lock);
    Queue& queue = state()->page_waiters;
    Thread* first = queue.head;
    if (first == nullptr) {
        return false;
    }
    top_to_grant(pc, first);
    if (first->granted == extra) {
        mark(Mark::grant, first->id, extra);
        wake_one_locked(queue);
    }
    return true;
}

void serve_waiters(PerCpu* pc) {
    if (state()->page_waiters.head == nullptr) {
        return;
    }
    if (handed_out()) {
        const Hook hook(pc);
        while (state()->page_waiters.head != nullptr && (take_from_cache(pc, pc->current) || take_from_allocator(pc, pc->current))) {
            if (!top_to_first_waiter(pc)) {
                top_to_cache(pc, pc->current);
            }
        }
    } else if (pc->cache.count + state()->free_count >= extra) {
        wake_one(state()->page_waiters);
    }
}

void wake_dying() {
    if (policies().kill != Kill::emergency) {
        return;
    }
    const Locked lock(sched_lock);
    for (Thread* t = state()->page_waiters.head; t != nullptr; t = t->next) {
        if (fatal_signal_pending(t)) {
            dequeue_id(state()->page_waiters, t->id);
            make_runnable(t);
            return;
        }
    }
}

}  // namespace guest
