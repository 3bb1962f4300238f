// Invalidating translations, here and on other CPUs.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

/// One page on this CPU, by the configured instruction.
void flush_tlb_page(u64 va);
/// Everything on this CPU, global pages included.
void flush_tlb_all();
/// MOV CR3 to another address space: drops everything that is not global.
void switch_mm(u64 cr3);

/// Asks the other CPUs to forget the stack of `t`; returns at once.
void post_flush(Thread* t);
/// This CPU does what it was asked for, if it was.
void acknowledge_flush();
/// Until every other CPU has done what was last asked for `t`, or is in user mode, where it will before anything else. With IRQs off two CPUs that wait for each other wait for ever.
void await_flush(const Thread* t);

}  // namespace guest
