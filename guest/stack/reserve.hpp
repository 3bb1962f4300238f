// Who fills the reserve again, and what happens to a loan before IRQs go on.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

/// The rest from the reserve, into the hands; false when it has too little.
bool take_reserve(PerCpu* pc, Thread* t);
/// Whether the uppermost page of the hands belongs into the reserve.
bool belongs_to_reserve(const PerCpu* pc, const Thread* t);
/// At the end of an exit, and at the top of schedule().
void refill_after_exit(PerCpu* pc);
void refill_at_schedule(PerCpu* pc);
/// In the exit loop, IRQs off: what the repair policy does with the extra pages.
void repair_before_irq_on(PerCpu* pc, Thread* t);

// The kthread of RF-3.
u32 refill_kthreads();
void start_refill_kthreads(u32 first_id);
void refill_for_ever();

}  // namespace guest
