// The interface behind which every stack scheme under test lives.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

/// Where the kernel asks the scheme. A scheme that has nothing to do somewhere says so with `nothing`.
struct StackScheme {
    const char* name;
    /// Stack pages mapped when a thread of this kind is created, counted from the top: 1..4.
    u32 (*initial_pages)(ThreadKind kind);

    // --- the way of a thread through the kernel ---
    /// In enter_from_user_mode(), IRQs off.
    void (*enter)(Thread* t, Entry entry);
    /// Where IRQs are on and the thread may sleep: right after an entry's local_irq_enable(), and before deep exit work.
    void (*wait)(Thread* t);
    /// In the exit loop, IRQs off, before they go on.
    void (*loop_begin)(Thread* t);
    /// In exit_to_user_mode(), IRQs off.
    void (*exit)(Thread* t);
    /// In ret_from_fork() of a user thread, IRQs on.
    void (*born)(Thread* t);
    /// All of a dead thread's stack; IRQs off, on another stack.
    void (*release)(Thread* t);

    // --- scheduling; IRQs off ---
    /// At the top of schedule().
    void (*scheduling)(PerCpu* pc);
    /// Right before RSP moves to the stack of `next`.
    void (*switching)(PerCpu* pc, Thread* next);
    /// On the stack of `next`, before `prev` can run anywhere else.
    void (*switched)(Thread* prev, Thread* next);
    /// The thread goes on after a sleep.
    void (*resumed)(Thread* t);

    // --- pages; IRQs off ---
    /// A page went to the allocator's free list.
    void (*page_freed)();
    /// Another CPU has a thread that waits for pages.
    void (*asked_for_pages)(PerCpu* pc);
    /// Fills cache and reserve of a CPU that is to come up; false when the reserve is short.
    bool (*fund_cpu)(PerCpu* pc);
    /// Everything of a CPU that goes down, or does not come up.
    void (*drain_cpu)(PerCpu* pc);
    /// What all CPUs share, at boot.
    void (*fund_pool)();

    // --- the scheme's own kthreads ---
    u32 (*helpers)();
    /// Creates them as threads `first_id` and following.
    void (*start_helpers)(u32 first_id);
    /// What they do.
    void (*help)();
};

extern const StackScheme fixed_scheme;
extern const StackScheme entry_exit_scheme;

const StackScheme& scheme();
void select_scheme(abi::Scheme which);

/// Flags of a stack page's PTE.
u64 stack_pte_flags();
/// Unmaps page `i` of a dead thread's stack and frees its frame.
void free_stack_page(PerCpu* pc, Thread* t, u32 i);

}  // namespace guest
