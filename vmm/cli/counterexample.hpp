// Counterexamples: a finding made into a scenario file of its own.
#pragma once

#include <string>

#include "vmm/base/result.hpp"
#include "vmm/cli/common.hpp"
#include "vmm/explore/sweep_result.hpp"

namespace stackrig::cli {

/// The run that `text`, a scenario that has been checked, has by itself or for `variant`, with other decisions: a scenario that expects
/// what was found, and remembers guest and trace. Without [explore] and comments.
[[nodiscard]] std::string counterexample_text(const std::string& text, const std::string& variant, const explore::Finding& finding,
                                              std::uint64_t guest, std::uint64_t trace);

/// "cx-inv-19-3fa2c1d0": from the invariant or verdict and the decisions.
[[nodiscard]] std::string counterexample_name(const explore::Finding& finding);

}  // namespace stackrig::cli
