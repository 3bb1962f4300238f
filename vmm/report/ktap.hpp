// KTAP version 1 (Documentation/dev-tools/ktap.rst): what kernel CI reads.
#pragma once

#include <string>

#include "vmm/explore/result.hpp"

namespace stackrig::report {

/// "KTAP version 1" and the plan; printed before the first result.
[[nodiscard]] std::string ktap_header(std::size_t scenarios);
/// Diagnostics, then the result line of scenario `number`, counted from 1.
[[nodiscard]] std::string ktap_result(std::size_t number, const explore::ScenarioResult& result);

}  // namespace stackrig::report
