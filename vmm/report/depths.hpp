// How deep the stacks were, over many runs.
#pragma once

#include <string>
#include <vector>

#include "vmm/explore/result.hpp"

namespace stackrig::report {

/// A row per entry kind, a column per window and one for the switch to another thread: the most bytes seen at any stop of any run.
/// Runs of the fixed-stack baseline do not count. Empty when no run was in the kernel on a user thread's stack.
[[nodiscard]] std::string depth_table(const std::vector<explore::ScenarioResult>& results);

}  // namespace stackrig::report
