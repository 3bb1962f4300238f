// Threads and the scheduler: run queue, sleep and wake, switch, creation, death.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

/// Gives the CPU to the next runnable thread. The caller has set current()->state; IRQs may be on or off.
void schedule();
/// Blocks the current thread on `queue` until a wake-up. IRQs off, and off again on return.
void sleep_on(Queue& queue, WaitKind kind, u32 object);
/// Makes the first sleeper of `queue` runnable. IRQs off.
void wake_one(Queue& queue);
/// Makes every sleeper runnable. IRQs off.
void wake_all(Queue& queue);

/// Creates a thread from its specification and makes it runnable; `slot` is its stack slot.
Thread* create_thread(const abi::ThreadSpec& spec);
Thread* create_idle(u32 cpu);
/// Ends the current thread. `signal` is 0 for a voluntary exit.
[[noreturn]] void do_exit(u32 signal);

[[noreturn]] void cpu_idle();

}  // namespace guest
