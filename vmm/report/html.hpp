// The HTML report: one file that opens from disk, with everything in it and nothing fetched.
#pragma once

#include <string>
#include <vector>

#include "vmm/explore/result.hpp"
#include "vmm/report/run_info.hpp"

namespace stackrig::report {

/// Claims, verdicts, and for each result with a violation or not as expected its timeline, code and text, as far as 16 MiB of
/// details go; the page says how many were left out.
[[nodiscard]] std::string html(const RunInfo& info, const std::vector<explore::ScenarioResult>& results);

}  // namespace stackrig::report
