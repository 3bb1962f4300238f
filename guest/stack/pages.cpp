// The moves, each visible at every instruction.
#include "guest/stack/pages.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/spinlock.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/tlb.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {
namespace {

using abi::Flush;

SpinLock pool_lock;
SpinLock cache_locks[abi::max_cpus];  // only where other CPUs return pages to a cache

void label(u32 pfn, FrameUse use) { write_once(state()->frames[pfn].use, use); }

/// Nothing, unless caches are shared.
class CacheGuard {
  public:
    explicit CacheGuard(const PerCpu* cache) : lock_(policies().return_to == abi::ReturnTo::origin ? &cache_locks[cache->cpu] : nullptr) {
        if (lock_ != nullptr) {
            lock_->lock();
        }
    }
    ~CacheGuard() {
        if (lock_ != nullptr) {
            lock_->unlock();
        }
    }
    CacheGuard(const CacheGuard&) = delete;
    CacheGuard& operator=(const CacheGuard&) = delete;

  private:
    SpinLock* lock_;
};

void taken(const Thread* t, StackSource source, u32 pfn) { mark(Mark::enter_take, t->id, static_cast<u64>(source), pfn); }
void given(const Thread* t, StackSource to, u32 pfn) { mark(Mark::exit_give, t->id, static_cast<u64>(to), pfn); }

bool take_from_stash(PerCpu* pc, FrameStash& stash, const Thread* t, StackSource source) {
    if (stash.count == 0) {
        return false;
    }
    const u32 pfn = top(stash);
    push(pc->hands, pfn);
    drop(stash);
    taken(t, source, pfn);
    return true;
}

}  // namespace

void push(FrameStash& stash, u32 pfn) {
    write_once(stash.pfn[stash.count], pfn);
    write_once(stash.count, stash.count + 1);
}
u32 top(const FrameStash& stash) { return stash.pfn[stash.count - 1]; }
void drop(FrameStash& stash) {
    write_once(stash.count, stash.count - 1);
    write_once(stash.pfn[stash.count], 0u);  // nobody shall take for a page what is none any more
}

bool take_from_cache(PerCpu* pc, const Thread* t) {
    const CacheGuard guard(pc);
    return take_from_stash(pc, pc->cache, t, StackSource::cache);
}

bool take_from_reserve(PerCpu* pc, Thread* t) {
    if (pc->reserve.count == 0) {
        return false;
    }
    t->loan_cpu = pc->cpu;
    write_once(t->loan, t->loan + 1);
    return take_from_stash(pc, pc->reserve, t, StackSource::reserve);
}

bool take_from_pool(PerCpu* pc, const Thread* t) {
    const Locked lock(pool_lock);
    return take_from_stash(pc, state()->pool, t, StackSource::pool);
}

bool take_from_allocator(PerCpu* pc, const Thread* t) {
    const u32 pfn = alloc_page(Gfp::nowait, FrameUse::kernel);
    if (pfn == abi::no_pfn) {
        return false;
    }
    take_frame(pc, t, pfn, StackSource::nowait);
    return true;
}

void take_frame(PerCpu* pc, const Thread* t, u32 pfn, StackSource source) {
    push(pc->hands, pfn);
    label(pfn, FrameUse::stack);
    if (policies().zero != abi::Zero::never) {
        clear_page(pfn);  // whose it was before does not concern its next owner either (Linux: __GFP_ZERO)
    }
    taken(t, source, pfn);
}

void top_to_reserve(PerCpu* pc, const Thread* t) {
    const u32 pfn = top(pc->hands);
    push(pc->reserve, pfn);
    drop(pc->hands);
    given(t, StackSource::reserve, pfn);
}

bool try_top_to_cache(PerCpu* pc, const Thread* t) {
    const bool home = policies().return_to == abi::ReturnTo::origin && state()->percpu[t->origin_cpu]->online != 0;
    PerCpu* to = home ? state()->percpu[t->origin_cpu] : pc;
    const CacheGuard guard(to);
    if (to->cache.count >= policies().cache_cap) {
        return false;
    }
    const u32 pfn = top(pc->hands);
    push(to->cache, pfn);
    drop(pc->hands);
    given(t, StackSource::cache, pfn);
    return true;
}

void top_to_cache(PerCpu* pc, const Thread* t) {
    if (!try_top_to_cache(pc, t)) {
        const u32 pfn = top(pc->hands);
        top_to_buddy(pc);
        given(t, StackSource::buddy, pfn);
    }
}

void top_to_pool(PerCpu* pc, const Thread* t) {
    const Locked lock(pool_lock);
    const u32 pfn = top(pc->hands);
    push(state()->pool, pfn);
    drop(pc->hands);
    given(t, StackSource::pool, pfn);
}

void top_to_buddy(PerCpu* pc) {
    const u32 pfn = top(pc->hands);
    label(pfn, FrameUse::kernel);
    drop(pc->hands);
    free_page(pfn);
}

void top_to_grant(PerCpu* pc, Thread* waiter) {
    const u32 pfn = top(pc->hands);
    write_once(waiter->grant[waiter->granted], pfn);
    write_once(waiter->granted, waiter->granted + 1);
    drop(pc->hands);
}

bool take_ordinary(PerCpu* pc, Thread* t, bool allocator) {
    t->source = StackSource::cache;
    t->origin_cpu = pc->cpu;
    const u32 wanted = pc->hands.count + extra;
    while (pc->hands.count < wanted) {
        if (take_from_cache(pc, t)) {
            continue;
        }
        if (!allocator || !take_from_allocator(pc, t)) {
            return false;
        }
        t->source = StackSource::nowait;
    }
    return true;
}

void map_extra(PerCpu* pc, Thread* t) {
    for (u32 i = 1; i <= extra; ++i) {
        const u32 pfn = top(pc->hands);
        if (policies().zero == abi::Zero::on_map) {
            clear_page(pfn);
        }
        write_once(*stack_pte(t->slot, i), frame_pa(pfn) | stack_pte_flags());
        drop(pc->hands);
        const Flush flush = policies().flush;
        if (flush == Flush::map || flush == Flush::both || flush == Flush::switch_in) {
            flush_tlb_page(abi::stack_page(t->slot, i));
        }
        mark(Mark::enter_pte, t->id, i, pfn);
    }
}

bool has_extra(const Thread* t) { return (*stack_pte(t->slot, 1) & pte_present) != 0; }

bool unmap_extra(PerCpu* pc, Thread* t) {
    bool any = false;
    for (u32 nth = 1; nth <= extra; ++nth) {
        const u32 i = policies().unmap_order == abi::UnmapOrder::same ? nth : extra + 1 - nth;
        u64* pte = stack_pte(t->slot, i);
        if ((*pte & pte_present) == 0) {
            continue;  // a new thread's first return, or one that still waits for pages
        }
        any = true;
        const u32 pfn = static_cast<u32>((*pte & pte_frame_mask) / abi::page_bytes);
        push(pc->hands, pfn);
        write_once(*pte, u64{0});
        forget_page(t, i);
        mark(Mark::exit_pte, t->id, i, pfn);
        if (policies().zero == abi::Zero::on_return) {
            clear_page(pfn);
        }
    }
    if (any) {
        after_unmap(t);
    }
    return any;
}

void forget_page(const Thread* t, u32 i) {
    if (policies().flush != Flush::none && policies().flush != Flush::map) {
        flush_tlb_page(abi::stack_page(t->slot, i));
    }
}

void after_unmap(Thread* t) {
    const Flush flush = policies().flush;
    if (flush == Flush::ipi || flush == Flush::deferred) {
        post_flush(t);
    }
    if (flush == Flush::ipi) {
        await_flush(t);
    }
}

}  // namespace guest
