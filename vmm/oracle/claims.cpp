// Sentences of "Re: [RFC 00/14] Dynamic Kernel Stacks", Pasha Tatashin, Sun 17 Mar 2024 10:19:57 EST.
#include "vmm/oracle/claims.hpp"

#include "vmm/oracle/quotes.hpp"

namespace stackrig::oracle {
namespace {

constexpr Claim all[] = {
    {"C1", "kernel threads own all 16 KiB of their stack",
     "Create all kernel threads with a fully populated THREAD_SIZE stack. (i.e. 16K)", quotes::proposal},
    {"C2", "user threads own one page while in user mode",
     "Create all user threads with THREAD_SIZE kernel stack but only the top page mapped. (i.e. 4K)", quotes::proposal},
    {"C3", "enter_from_user_mode() maps three pages, early enough",
     "Expand the thread stack to 16K by mapping three additional pages from the per-CPU stack cache.", quotes::proposal},
    {"C4", "exit_to_user_mode() gives them back, late enough",
     "Unmap the extra three pages and return them to the per-CPU cache.", quotes::proposal},
    {"C5", "exactly five entries enable IRQs and may sleep",
     "The following user entries that enable interrupts:", quotes::mail},
    {"C6", "empty cache and failed GFP_NOWAIT: sleeping is fine",
     "With those it is perfectly OK to sleep and wait for the page to become available when we are in a "
     "situation where "
     "the per-cpu cache is empty, and alloc_page(GFP_NOWAIT) does not succeed.", quotes::mail},
    {"C7", "three reserve pages per CPU are enough for the others",
     "We can have 3-pages per-cpu reserved for handling specifically IRQ-never enable cases, as there cannot "
     "be more than "
     "one ever needed.", quotes::mail},
    {"C8", "the cache is replenished although sleepers hold pages",
     "Once irq is enabled it is perfectly OK to sleep and wait for the stack pages to become available.", quotes::mail},
};

}  // namespace

std::span<const Claim> claims() { return all; }

}  // namespace stackrig::oracle
