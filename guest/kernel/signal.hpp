// Signals, as far as killing goes.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

inline constexpr u32 sigill = 4;
inline constexpr u32 sigtrap = 5;
inline constexpr u32 sigbus = 7;
inline constexpr u32 sigfpe = 8;
using abi::sigkill;
inline constexpr u32 sigsegv = 11;

/// SIGKILL for any thread. It dies in its exit loop; a killable wait for stack pages ends.
void kill_thread(Thread* t);
/// Whether `t` is to die as soon as it gets there.
bool fatal_signal_pending(const Thread* t);
/// In the exit loop, IRQs on: the thread dies, or goes on where its program said.
void arch_do_signal(PtRegs* regs);

}  // namespace guest
