// Words for the guest's enums, stack pointers, frames and stops, as pictures and reports use them.
#pragma once

#include <string>

#include "vmm/oracle/history.hpp"
#include "vmm/oracle/view.hpp"

namespace stackrig::oracle {

/// "B's stack, P0, 280 bytes deep"
[[nodiscard]] std::string stack_text(const View& view, const StackPointer& at);
/// Where a thread is on its way, and by which entry: "exit work (timer)".
[[nodiscard]] std::string doing_text(const ThreadHistory& thread);
[[nodiscard]] const char* kind_text(abi::ThreadKind kind);
/// "running", "blocked for stack pages"
[[nodiscard]] std::string state_text(const abi::Thread& thread);
/// Whose the frame of a present page is: "own", "cache of cpu0", "RESERVE of cpu0", "allocator", "ALSO IN ...".
[[nodiscard]] std::string page_owner(const View& view, const History& history, ThreadId t, unsigned page);

/// "mark enter.short", "user mark", "event nmi": what stopped the CPU.
[[nodiscard]] std::string cause_text(const engine::StopCause& cause);

}  // namespace stackrig::oracle
