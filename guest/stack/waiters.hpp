// Threads that wait for stack pages.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

/// Sleeps until the pages owed to `t` are mapped, or until it need not live any longer. IRQs on.
void wait_for_pages(Thread* t);
/// Whether pages must not be taken because somebody has waited longer.
bool must_queue();
/// Pages may be there: to whom they belong now. IRQs off.
void serve_waiters(PerCpu* pc);
/// The uppermost page of the hands goes to the first waiter; false when nobody waits, or pages are not handed out.
bool top_to_first_waiter(PerCpu* pc);
/// The next of the dying may have its turn.
void wake_dying();

}  // namespace guest
