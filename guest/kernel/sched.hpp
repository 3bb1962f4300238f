// Threads and the scheduler: run queues, sleep and wake, switch, creation, death.
#pragma once

#include "guest/kernel/spinlock.hpp"
#include "guest/kernel/types.hpp"

namespace guest {

/// Guards run queues, wait queues and thread states. Outermost: taken before the allocator's lock.
extern RawSpinLock sched_lock;

/// Gives the CPU to the next runnable thread. The caller has set current()->state; IRQs may be on or off.
void schedule();
/// Marks the current thread blocked, and puts it on `queue` unless that is nullptr. sched_lock held; schedule() follows without it.
void block_current(Queue* queue, WaitKind kind, u32 object);
/// schedule() for a thread that block_current() has blocked; afterwards it has its stack pages again.
void sleep();
/// Makes a blocked thread runnable, where it ran last. sched_lock held.
void make_runnable(Thread* t);
/// Makes the first sleeper of `queue` runnable. IRQs off.
void wake_one(Queue& queue);
/// The same under sched_lock.
void wake_one_locked(Queue& queue);
/// Makes `t` runnable when it sleeps on `queue`.
void wake_waiter(Queue& queue, Thread* t);
/// The current thread goes on on `cpu`.
void migrate_to(u32 cpu);
/// All runnable threads of a CPU that went down run elsewhere. IRQs off.
void evacuate(PerCpu* pc);

/// Creates thread `id` from its specification and makes it runnable; nullptr when pages are short.
Thread* create_thread(u32 id, const abi::ThreadSpec& spec);
/// A thread in the address space of `owner`.
Thread* create_crowd_thread(u32 id, Thread* owner);
Thread* create_idle(u32 cpu);
/// kernel_execve(): the current kthread gets an address space and its program from operation `pc` on.
void become_user(Thread* t, u32 pc);
/// Ends the current thread. `signal` is 0 for a voluntary exit.
[[noreturn]] void do_exit(u32 signal);

[[noreturn]] void cpu_idle();

}  // namespace guest
