// Stack pages on the move: between caches, reserves, page tables and the allocator, through the hands of a CPU.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

inline constexpr u32 extra = abi::extra_pages;

// Every move makes the new place hold the frame before the old one lets go, with the hands in between, so that at no
// instruction a frame labelled `stack` is nowhere. All of it with IRQs off.
void push(FrameStash& stash, u32 pfn);
u32 top(const FrameStash& stash);
void drop(FrameStash& stash);

/// While it lives, a hook of this CPU is between its first and last step: its hands may hold pages.
class Hook {
  public:
    explicit Hook(PerCpu* pc) : pc_(pc), before_(pc->hook_active) { write_once(pc_->hook_active, 1u); }
    ~Hook() { write_once(pc_->hook_active, before_); }
    Hook(const Hook&) = delete;
    Hook& operator=(const Hook&) = delete;

  private:
    PerCpu* pc_;
    u32 before_;
};

/// One page into the hands, for `t`; false when there is none.
bool take_from_cache(PerCpu* pc, const Thread* t);
bool take_from_reserve(PerCpu* pc, Thread* t);
bool take_from_pool(PerCpu* pc, const Thread* t);
/// alloc_page(GFP_NOWAIT).
bool take_from_allocator(PerCpu* pc, const Thread* t);
/// A frame that is already allocated.
void take_frame(PerCpu* pc, const Thread* t, u32 pfn, StackSource source);

/// The uppermost page of the hands goes somewhere.
void top_to_reserve(PerCpu* pc, const Thread* t);
void top_to_cache(PerCpu* pc, const Thread* t);  ///< or to the allocator when the cache is full, which may wake whoever waits for pages
bool try_top_to_cache(PerCpu* pc, const Thread* t);  ///< false, and it stays in the hands, when the cache is full
void top_to_pool(PerCpu* pc, const Thread* t);
void top_to_buddy(PerCpu* pc);
void top_to_grant(PerCpu* pc, Thread* waiter);

/// Cache first, then the allocator: all three pages into the hands, or none.
bool take_ordinary(PerCpu* pc, Thread* t, bool allocator);
/// P1..P3 from the hands.
void map_extra(PerCpu* pc, Thread* t);
/// P1..P3 into the hands; false when none was mapped.
bool unmap_extra(PerCpu* pc, Thread* t);
bool has_extra(const Thread* t);

/// This CPU's translation of page `i`, as the flush policy wants it at an unmap.
void forget_page(const Thread* t, u32 i);
/// The other CPUs' translations of the stack, as the flush policy wants them after an unmap.
void after_unmap(Thread* t);

}  // namespace guest
