// The scheme of the mail of 17 March 2024: user threads own one page in user mode; the hooks of enter_from_user_mode() and
// exit_to_user_mode() map and unmap three more. What the mail leaves open is a policy; see guest/abi/policy.hpp.
#include "guest/stack/entry_exit.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/tlb.hpp"
#include "guest/stack/pages.hpp"
#include "guest/stack/reserve.hpp"
#include "guest/stack/scheme.hpp"
#include "guest/stack/waiters.hpp"

namespace guest {
namespace {

using abi::Flush;

u32 initial_pages(ThreadKind kind) {
    switch (kind) {
        case ThreadKind::user: return policies().new_thread == abi::NewThread::full ? abi::stack_pages : 1;
        case ThreadKind::worker: return policies().workers == abi::Workers::as_user ? 1 : abi::stack_pages;
        default: return abi::stack_pages;
    }
}

/// A machine check may have interrupted whoever holds the allocator's lock, on another CPU.
bool may_allocate(Entry entry) { return policies().classes == abi::Classes::seed_literal || entry != Entry::machine_check; }

void expand(PerCpu* pc, Thread* t, Entry entry) {
    if (!must_queue() && take_ordinary(pc, t, may_allocate(entry))) {
        map_extra(pc, t);
        return;
    }
    const bool waits = abi::may_wait(policies().classes, entry, t->irqs_on_at_entry != 0);
    if (waits || policies().repair == abi::Repair::irq_stack) {
        hands_to_cache(pc, t);
        t->source = StackSource::none;
        write_once(t->pend, 1u);
        return;
    }
    if (!take_reserve(pc, t)) {
        mark(Mark::enter_short, t->id, static_cast<u64>(entry), extra - pc->hands.count);
        panic("enter_from_user_mode(): no page left, and this entry cannot sleep");
    }
    map_extra(pc, t);
}

void enter(Thread* t, Entry entry) {
    PerCpu* pc = this_cpu();
    mark(Mark::enter_begin, t->id, static_cast<u64>(entry));
    write_once(pc->in_user, 0u);
    {
        const Hook hook(pc);
        if (policies().flush == Flush::deferred) {
            acknowledge_flush();  // nobody sends an IPI to user mode, and one sent before may still be pending
        }
        expand(pc, t, entry);
    }
    mark(Mark::enter_done, t->id, static_cast<u64>(entry), t->pend);
}

void wait(Thread* t) {
    if (t->pend != 0) {
        wait_for_pages(t);
    }
    if (policies().flush == Flush::deferred) {
        await_flush(t);  // from here on other CPUs may be shown objects on this stack
    }
}

void loop_begin(Thread* t) {
    if (t->kind == ThreadKind::user) {
        PerCpu* pc = this_cpu();
        const Hook hook(pc);
        repair_before_irq_on(pc, t);
    }
}

void exit(Thread* t) {
    PerCpu* pc = this_cpu();
    mark(Mark::exit_begin, t->id);
    {
        const Hook hook(pc);
        write_once(t->pend, 0u);  // an entry that never came to its site
        unmap_extra(pc, t);
        give_back(pc, t, pc->hands.count);
    }
    refill_after_exit(pc);
    write_once(pc->in_user, 1u);
    mark(Mark::exit_done, t->id);
}

void born(Thread* t) {
    if (policies().new_thread == abi::NewThread::expand) {
        write_once(t->pend, 1u);
        wait(t);
    }
}

/// The mail does not say what becomes of a dead thread's pages: a user thread's take the way they take at exit, those it
/// was born with go where they came from.
void release(Thread* t) {
    PerCpu* pc = this_cpu();
    {
        const Hook hook(pc);
        unmap_extra(pc, t);
        const bool to_buddy = t->source == StackSource::birth || (policies().death == abi::Death::buddy && t->loan == 0);
        while (to_buddy && pc->hands.count > 0) {
            top_to_buddy(pc);
        }
        give_back(pc, t, pc->hands.count);
        free_stack_page(pc, t, 0);
        after_unmap(t);
    }
    refill_after_exit(pc);
    wake_dying();
}

/// Sleepers give back what they do not stand on; nobody can run them before this CPU has switched again.
void shed(PerCpu* pc, Thread* prev) {
    const bool shallow = prev->saved_rsp >= abi::stack_page(prev->slot, 0);
    if (policies().sleepers != abi::Sleepers::shed || prev->kind != ThreadKind::user || prev->state != ThreadState::blocked ||
        prev->pend != 0 || !shallow || !has_extra(prev)) {
        return;
    }
    mark(Mark::shed, prev->id);
    {
        const Hook hook(pc);
        unmap_extra(pc, prev);
        give_back(pc, prev, pc->hands.count);
        write_once(prev->pend, 1u);
        prev->shed = 1;
    }
    mark(Mark::shed_done, prev->id);
}

/// The next instruction but a few may already use the stack: flushing on it would be too late.
void switching(PerCpu* pc, Thread* next) {
    if (policies().flush == Flush::switch_in && next->last_cpu != pc->cpu) {
        for (u32 i = 1; i <= extra; ++i) {
            flush_tlb_page(abi::stack_page(next->slot, i));
        }
    }
    next->last_cpu = pc->cpu;
}

void switched(Thread* prev, Thread*) { shed(this_cpu(), prev); }

void resumed(Thread* t) {
    if (t->shed != 0) {
        t->shed = 0;
        local_irq_enable();
        wait(t);
        local_irq_disable();
    }
}

void page_freed() { serve_waiters(this_cpu()); }

bool fund_cpu(PerCpu* pc) {
    const auto fill = [](FrameStash& stash, u32 pages) {
        while (stash.count < pages) {
            const IrqSave irqs;  // nobody may find a frame that is in no place yet
            const u32 pfn = alloc_thread_page(FrameUse::stack);
            if (pfn == abi::no_pfn) {
                return false;
            }
            push(stash, pfn);
        }
        return true;
    };
    return fill(pc->reserve, boot_params().reserve_pages) && (fill(pc->cache, boot_params().cache_pages) || true);
}

void drain_cpu(PerCpu* pc) {
    PerCpu* here = this_cpu();
    const IrqSave irqs;  // as in fund_cpu()
    const Hook hook(here);
    FrameStash* const stashes[] = {&pc->reserve, &pc->cache};
    for (FrameStash* stash : stashes) {
        while (stash->count > 0) {
            push(here->hands, top(*stash));
            drop(*stash);
            top_to_buddy(here);
        }
    }
}

void fund_pool() {
    while (state()->pool.count < policies().pool_pages) {
        push(state()->pool, alloc_boot_page(FrameUse::stack));
    }
}

}  // namespace

void give_back(PerCpu* pc, Thread* t, u32 count) {
    const u32 rest = pc->hands.count - count;
    const bool pooled = t->source == StackSource::pool || policies().repair == abi::Repair::global_pool;
    while (pc->hands.count > rest) {
        if (belongs_to_reserve(pc, t)) {
            top_to_reserve(pc, t);
            write_once(t->loan, t->loan > 0 ? t->loan - 1 : 0);
        } else if (pooled && state()->pool.count < policies().pool_pages) {
            top_to_pool(pc, t);
        } else if (!top_to_first_waiter(pc)) {
            top_to_cache(pc, t);
        }
    }
    write_once(t->loan, 0u);
    t->source = StackSource::none;
    serve_waiters(pc);
}

void hands_to_cache(PerCpu* pc, Thread* t) {
    while (pc->hands.count > 0) {
        top_to_cache(pc, t);
    }
}

const StackScheme entry_exit_scheme = {
    .name = "entry-exit",
    .initial_pages = initial_pages,
    .enter = enter,
    .wait = wait,
    .loop_begin = loop_begin,
    .exit = exit,
    .born = born,
    .release = release,
    .scheduling = refill_at_schedule,
    .switching = switching,
    .switched = switched,
    .resumed = resumed,
    .page_freed = page_freed,
    .asked_for_pages = serve_waiters,
    .fund_cpu = fund_cpu,
    .drain_cpu = drain_cpu,
    .fund_pool = fund_pool,
    .helpers = refill_kthreads,
    .start_helpers = start_refill_kthreads,
    .help = refill_for_ever,
};

}  // namespace guest
