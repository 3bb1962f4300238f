// Counterexamples: a finding made into a scenario file of its own.
#pragma once

#include <string>

#include "vmm/base/result.hpp"
#include "vmm/cli/common.hpp"
#include "vmm/explore/sweep_result.hpp"

namespace stackrig::cli {

/// The text of `source` with other decisions, without its [explore], expecting what was found, and remembering guest and trace.
/// Comments and everything else stay. `name`: of the new scenario.
[[nodiscard]] std::string counterexample_text(const std::string& source, const std::string& name, const explore::Finding& finding,
                                              std::uint64_t guest, std::uint64_t trace);

/// "cx-inv-19-3fa2c1d0": from the invariant or verdict and the decisions.
[[nodiscard]] std::string counterexample_name(const explore::Finding& finding);

}  // namespace stackrig::cli
