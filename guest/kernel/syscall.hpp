// The system calls and the programs of kthreads.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

/// Runs system call `number` with `argument` at `depth` bytes of stack; returns what regs->ax gets.
u64 run_syscall(u64 number, u64 argument, u64 depth, Entry entry);
/// The whole program of a kthread; true when it ends as a user thread (exec).
bool run_kthread(Thread* t);
/// A user thread's UserPage through the direct map; a kthread's program in kernel memory.
abi::UserPage* program_of(const Thread* t);

}  // namespace guest
