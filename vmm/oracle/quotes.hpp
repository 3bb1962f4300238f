// Where the quoted sentences stand.
#pragma once

#include <string_view>

namespace stackrig::oracle::quotes {

inline constexpr std::string_view mail = "Pasha Tatashin, 17 Mar 2024";
/// The proposal of the day before, which the mail quotes and answers questions about.
inline constexpr std::string_view proposal = "Pasha Tatashin, 16 Mar 2024, quoted in the mail of 17 Mar 2024";

inline constexpr std::string_view kthreads =
    "Create all kernel threads with a fully populated THREAD_SIZE stack. (i.e. 16K)";
inline constexpr std::string_view user_threads =
    "Create all user threads with THREAD_SIZE kernel stack but only the top page mapped. (i.e. 4K)";
inline constexpr std::string_view enter =
    "In enter_from_user_mode(): Expand the thread stack to 16K by mapping three additional pages from the "
    "per-CPU "
    "stack cache.";
inline constexpr std::string_view exit =
    "exit_to_user_mode(): Unmap the extra three pages and return them to the per-CPU cache.";
inline constexpr std::string_view both_hooks =
    "Both of the above hooks are called with IRQ disabled on all kernel entries whether through interrupts "
    "and "
    "syscalls, and they are called early/late enough that 4K is enough to handle the rest of entry/exit.";
inline constexpr std::string_view sleep =
    "Once irq is enabled it is perfectly OK to sleep and wait for the stack pages to become available.";
inline constexpr std::string_view sources =
    "With those it is perfectly OK to sleep and wait for the page to become available when we are in a "
    "situation "
    "where the per-cpu cache is empty, and alloc_page(GFP_NOWAIT) does not succeed.";
inline constexpr std::string_view never = "The other interrupts from userland never enable IRQs.";
inline constexpr std::string_view reserve =
    "We can have 3-pages per-cpu reserved for handling specifically IRQ-never enable cases, as there cannot "
    "be more "
    "than one ever needed.";

}  // namespace stackrig::oracle::quotes
