// What the mail leaves open, as named choices. The first value of each is the mail's text, or the plainest reading of it.
#pragma once

#include <cstdint>

namespace stackrig::abi {

inline constexpr unsigned stash_capacity = 60;  ///< pages that a cache, a reserve or the pool can hold


/// What happens to reserve pages when their holder reaches the exit loop, where IRQs go on.
enum class Repair : std::uint32_t {
    literal,              ///< R-a: nothing; they stay on loan across schedule()
    repay_before_irq_on,  ///< R-b: replaced by ordinary pages before IRQs go on; where there are none, as give_back
    give_back,            ///< R-c: P1..P3 are unmapped and returned first; deep work waits for ordinary pages
    deep_reserve,         ///< R-d: as literal, with a reserve of several sets of pages
    irq_stack,            ///< R-e: an unfunded handler runs on the IRQ stack; exit loop as give_back
    global_pool,          ///< R-f: a locked pool of all CPUs behind the reserve
};
/// Who fills the reserve again.
enum class Refill : std::uint32_t {
    borrower,  ///< RF-1: only the exit of the thread that borrowed
    any_exit,  ///< RF-2: every exit on the CPU, before the cache
    kthread,   ///< RF-3: a kthread moves pages from the cache later
    schedule,  ///< RF-4: schedule(), by GFP_NOWAIT
};
/// When translations of P1..P3 are invalidated, and where.
enum class Flush : std::uint32_t {
    unmap,      ///< by the CPU that unmaps, on itself
    none,       ///< never
    map,        ///< by the CPU that maps, on itself (the claim of 18 March 2024)
    both,       ///< unmap and map, on the executing CPU
    switch_in,  ///< both, and by a CPU that switches to a thread that last ran elsewhere
    ipi,        ///< unmap, and an IPI to every other CPU, awaited with IRQs off
    deferred,   ///< switch_in, and an IPI to every other CPU, awaited where the entry may sleep
};
/// The instruction that invalidates.
enum class FlushWith : std::uint32_t {
    invlpg,  ///< one page, global or not, in the current address space
    cr3,     ///< MOV CR3: everything that is not global
};
/// PTE.G of stack pages: on without page-table isolation, off with it.
enum class Global : std::uint32_t { on, off };
/// What an entry that may sleep does when pages are short.
enum class Wait : std::uint32_t {
    event,     ///< sleeps until an exit or a free brings pages; whoever comes first gets them
    fifo,      ///< the same, pages are handed to the first waiter and nobody else
    priority,  ///< as fifo, the most important waiter first
    itself,    ///< calls alloc_page(GFP_KERNEL), on the one page it has
};
/// A waiter with a fatal signal.
enum class Kill : std::uint32_t {
    uninterruptible,  ///< waits on
    killable,         ///< stops waiting and dies on the one page it has
    emergency,        ///< gets pages of a pool set aside for the dying
};
/// NMI from user mode.
enum class NmiFromUser : std::uint32_t {
    thread_stack,  ///< no hook: the top page only, as Linux does it
    ist,           ///< stays on the NMI stack
};
/// A new user thread's stack.
enum class NewThread : std::uint32_t {
    top_page,  ///< the mail: only the top page
    full,      ///< four pages until the first exit to user mode
    expand,    ///< the top page; ret_from_fork() waits for the rest
};
/// User-typed threads that never return to user mode (PF_USER_WORKER).
enum class Workers : std::uint32_t { as_user, as_kthread };
/// Where the pages of a user thread go at exit.
enum class ReturnTo : std::uint32_t {
    executing,  ///< the cache of the executing CPU
    origin,     ///< the cache they came from
};
/// In which order EXIT unmaps P1..P3, against the order in which ENTER maps them.
enum class UnmapOrder : std::uint32_t {
    reverse,  ///< a thread that is next to enter finds the same frames at the same places
    same,     ///< it finds them at other places
};
/// Old contents of pages that change hands.
enum class Zero : std::uint32_t { never, on_return, on_map };
/// Pages of a dead thread.
enum class Death : std::uint32_t { cache, buddy };
/// Bringing a CPU up without pages for its cache and reserve.
enum class CpuUp : std::uint32_t {
    allow,  ///< it comes up
    fail,   ///< it does not
};
/// Erasing the used part of the stack on the way out (KSTACK_ERASE).
enum class Erase : std::uint32_t {
    off,
    after_exit,   ///< where x86-64 has it: after exit_to_user_mode()
    before_exit,  ///< while all pages are still mapped
};
/// Reading another thread's stack.
enum class Readers : std::uint32_t {
    raw,      ///< plain loads
    nofault,  ///< copy_from_kernel_nofault()
};
/// The stack an interrupt from user mode is handled on.
enum class IrqFromUser : std::uint32_t { task_stack, irq_stack };
/// Whether kernel code is preempted by an interrupt that asks for it (CONFIG_PREEMPT).
enum class Preempt : std::uint32_t { none, full };
/// Extra pages of a thread that sleeps in the kernel.
enum class Sleepers : std::uint32_t {
    keep,  ///< the mail: they stay mapped
    shed,  ///< taken back by the next thread when the sleeper's RSP is on its top page
};
/// The class table in force; see entries.hpp.
enum class Classes : std::uint32_t { seed_literal, corrected };

/// Whether pages go to a waiter instead of to whoever comes first.
[[nodiscard]] constexpr bool handed_out(Wait wait) { return wait == Wait::fifo || wait == Wait::priority; }

struct Policies {
    Repair repair;
    Refill refill;
    Flush flush;
    FlushWith flush_with;
    Global global;
    Wait wait;
    Kill kill;
    NmiFromUser nmi;
    NewThread new_thread;
    Workers workers;
    ReturnTo return_to;
    UnmapOrder unmap_order;
    Zero zero;
    Death death;
    CpuUp cpu_up;
    Erase erase;
    Readers readers;
    IrqFromUser irq_from_user;
    Preempt preempt;
    Sleepers sleepers;
    Classes classes;
    std::uint32_t cache_cap;  ///< pages a cache keeps at most; more go to the free list
    std::uint32_t pool_pages;  ///< of the global or emergency pool
};

}  // namespace stackrig::abi
