// More than one CPU: interrupts between them, coming up, going down.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

void send_ipi(u32 cpu, u8 vector);
void send_ipi_to_others(u8 vector);

/// `cpu` if it is up, else the first that is.
u32 online_cpu(u32 cpu);

/// Fills cache and reserve and starts the CPU; false when the pages are not there and the policy wants them. May sleep.
bool cpu_up(u32 cpu);
/// Moves the threads of `cpu` elsewhere and stops it. May sleep.
void cpu_down(u32 cpu);
/// The last thing a CPU that goes down does, on its idle thread.
[[noreturn]] void play_dead();
/// The per-CPU area and idle thread of a CPU that has not run yet.
void prepare_cpu(u32 cpu);

}  // namespace guest
