// The scheme of the mail of 17 March 2024, read literally: user threads own one page in user mode; the hooks of
// enter_from_user_mode() and exit_to_user_mode() map and unmap three more.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {
namespace {

constexpr u32 extra = abi::extra_pages;

// Every move of a frame makes the new place hold it before the old one lets go, with the hands in between, so that
// at no instruction a frame labelled `stack` is nowhere.
void label(u32 pfn, FrameUse use) { write_once(state()->frames[pfn].use, use); }
void push(FrameStash& stash, u32 pfn) {
    write_once(stash.pfn[stash.count], pfn);
    write_once(stash.count, stash.count + 1);
}
u32 top(const FrameStash& stash) { return stash.pfn[stash.count - 1]; }
void drop(FrameStash& stash) { write_once(stash.count, stash.count - 1); }

bool take_from_stash(PerCpu* pc, FrameStash& stash, StackSource source) {
    if (stash.count == 0) {
        return false;
    }
    const u32 pfn = top(stash);
    push(pc->hands, pfn);
    drop(stash);
    mark(Mark::enter_take, pc->current->id, static_cast<u64>(source), pfn);
    return true;
}

bool take_from_allocator(PerCpu* pc) {
    const u32 pfn = alloc_page(Gfp::nowait, FrameUse::kernel);
    if (pfn == abi::no_pfn) {
        return false;
    }
    push(pc->hands, pfn);
    label(pfn, FrameUse::stack);
    mark(Mark::enter_take, pc->current->id, static_cast<u64>(StackSource::nowait), pfn);
    return true;
}

void hands_to_cache(PerCpu* pc) {
    while (pc->hands.count > 0) {
        push(pc->cache, top(pc->hands));
        drop(pc->hands);
    }
}

/// Cache first, then alloc_page(GFP_NOWAIT): all three pages into the hands, or none.
bool take_ordinary(PerCpu* pc, Thread* t) {
    t->source = StackSource::cache;
    while (pc->hands.count < extra) {
        if (take_from_stash(pc, pc->cache, StackSource::cache)) {
            continue;
        }
        if (!take_from_allocator(pc)) {
            return false;
        }
        t->source = StackSource::nowait;
    }
    return true;
}

/// The rest from the reserve: "there cannot be more than one ever needed".
void take_reserve(PerCpu* pc, Thread* t) {
    t->source = pc->hands.count == 0 ? StackSource::reserve : StackSource::mixed;
    t->loan_cpu = pc->cpu;
    while (pc->hands.count < extra) {
        if (pc->reserve.count == 0) {
            mark(Mark::enter_short, t->id, static_cast<u64>(t->entry), extra - pc->hands.count);
            panic("enter_from_user_mode(): no page left, and this entry cannot sleep");
        }
        write_once(t->loan, t->loan + 1);
        take_from_stash(pc, pc->reserve, StackSource::reserve);
    }
}

void map_extra(PerCpu* pc, Thread* t) {
    for (u32 i = 1; i <= extra; ++i) {
        const u32 pfn = top(pc->hands);
        write_once(*stack_pte(t->slot, i), frame_pa(pfn) | pte_kernel_data);
        drop(pc->hands);
        mark(Mark::enter_pte, t->id, i, pfn);
    }
}

/// Clears P1..P3 and invalidates them on this CPU; the frames stay in the hands.
void unmap_extra(PerCpu* pc, Thread* t) {
    for (u32 i = 1; i <= extra; ++i) {
        u64* pte = stack_pte(t->slot, i);
        if ((*pte & pte_present) == 0) {
            continue;  // a new thread's first return, or one that still waits for pages
        }
        const u32 pfn = static_cast<u32>((*pte & pte_frame_mask) / abi::page_bytes);
        push(pc->hands, pfn);
        write_once(*pte, u64{0});
        invlpg(abi::stack_page(t->slot, i));
        mark(Mark::exit_pte, t->id, i, pfn);
    }
}

void wake_waiters(PerCpu* pc) {
    if (pc->cache.count + state()->free_count >= extra) {
        wake_one(state()->page_waiters);
    }
}

/// What the reserve lent goes back to it, the rest to the cache of the executing CPU.
void give_back(PerCpu* pc, Thread* t) {
    while (pc->hands.count > 0) {
        const u32 pfn = top(pc->hands);
        const bool lent = t->loan > 0 && t->loan_cpu == pc->cpu;
        if (lent) {
            push(pc->reserve, pfn);
            write_once(t->loan, t->loan - 1);
        } else if (pc->cache.count < abi::stash_capacity) {
            push(pc->cache, pfn);
        } else {
            label(pfn, FrameUse::kernel);
            drop(pc->hands);
            free_page(pfn);
            mark(Mark::exit_give, t->id, static_cast<u64>(StackSource::buddy), pfn);
            continue;
        }
        drop(pc->hands);
        mark(Mark::exit_give, t->id, static_cast<u64>(lent ? StackSource::reserve : StackSource::cache), pfn);
    }
    t->source = StackSource::none;
    wake_waiters(pc);
}

u32 initial_pages(ThreadKind kind) { return kind == ThreadKind::user ? 1 : abi::stack_pages; }

void enter(Thread* t, Entry entry) {
    PerCpu* pc = this_cpu();
    mark(Mark::enter_begin, t->id, static_cast<u64>(entry));
    write_once(pc->hook_active, 1u);
    if (take_ordinary(pc, t)) {
        map_extra(pc, t);
    } else if (abi::entry_class(entry).listed) {
        hands_to_cache(pc);
        t->source = StackSource::none;
        write_once(t->pend, 1u);
    } else {
        take_reserve(pc, t);
        map_extra(pc, t);
    }
    write_once(pc->hook_active, 0u);
    mark(Mark::enter_done, t->id, static_cast<u64>(entry), t->pend);
}

/// A pure wait, on the top page alone: somebody else's exit or free brings the pages.
void wait(Thread* t) {
    if (t->pend == 0) {
        return;
    }
    mark(Mark::wait_begin, t->id, static_cast<u64>(t->entry));
    local_irq_disable();
    for (;;) {
        PerCpu* pc = this_cpu();  // asked anew: the thread may have moved while asleep
        write_once(pc->hook_active, 1u);
        if (take_ordinary(pc, t)) {
            map_extra(pc, t);
            t->source = StackSource::wait;
            write_once(t->pend, 0u);
            write_once(pc->hook_active, 0u);
            break;
        }
        hands_to_cache(pc);
        write_once(pc->hook_active, 0u);
        sleep_on(state()->page_waiters, WaitKind::pages, 0);
    }
    local_irq_enable();
    mark(Mark::wait_done, t->id, static_cast<u64>(t->entry));
}

void exit(Thread* t) {
    PerCpu* pc = this_cpu();
    mark(Mark::exit_begin, t->id);
    write_once(pc->hook_active, 1u);
    unmap_extra(pc, t);
    give_back(pc, t);
    write_once(pc->hook_active, 0u);
    mark(Mark::exit_done, t->id);
}

/// Pages that never came from a cache do not go to one.
void free_birth_pages(PerCpu* pc) {
    while (pc->hands.count > 0) {
        const u32 pfn = top(pc->hands);
        label(pfn, FrameUse::kernel);
        drop(pc->hands);
        free_page(pfn);
    }
}

/// The mail does not say what becomes of a dead thread's pages: a user thread's take the way they take at exit.
void release(Thread* t) {
    PerCpu* pc = this_cpu();
    write_once(pc->hook_active, 1u);
    unmap_extra(pc, t);
    if (t->source == StackSource::birth) {
        free_birth_pages(pc);
    } else {
        give_back(pc, t);
    }
    write_once(pc->hook_active, 0u);
}

void page_freed() { wake_waiters(this_cpu()); }

}  // namespace

const StackScheme entry_exit_scheme = {"entry-exit", initial_pages, enter, wait, exit, release, page_freed};

}  // namespace guest
