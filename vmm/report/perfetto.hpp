// Recorded runs as a Chrome trace ("Trace Event Format"), which ui.perfetto.dev and chrome://tracing open.
#pragma once

#include <string>
#include <vector>

#include "vmm/explore/result.hpp"
#include "vmm/report/run_info.hpp"

namespace stackrig::report {

/// One process of CPUs and one of guest threads for each result that has a timeline. A stop is a microsecond: the guest has
/// no other clock.
[[nodiscard]] std::string perfetto(const RunInfo& info, const std::vector<explore::ScenarioResult>& results);

}  // namespace stackrig::report
