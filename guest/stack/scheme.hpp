// The interface behind which every stack scheme under test lives.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

struct StackScheme {
    const char* name;
    /// Stack pages mapped when a thread of this kind is created, counted from the top: 1..4.
    u32 (*initial_pages)(ThreadKind kind);
    /// In enter_from_user_mode(), IRQs off.
    void (*enter)(Thread* t, Entry entry);
    /// Right after an entry's local_irq_enable(): may sleep.
    void (*wait)(Thread* t);
    /// In exit_to_user_mode(), IRQs off.
    void (*exit)(Thread* t);
    /// All of a dead thread's stack below the top page; IRQs off, on another stack.
    void (*release)(Thread* t);
    /// A page went to the allocator's free list; IRQs off.
    void (*page_freed)();
};

extern const StackScheme fixed_scheme;
extern const StackScheme entry_exit_scheme;

const StackScheme& scheme();
void select_scheme(abi::Scheme which);
void stack_pages_freed();

}  // namespace guest
