// GitHub Actions: annotations at the scenario's line, and the job's summary page.
#pragma once

#include <string>
#include <vector>

#include "vmm/explore/result.hpp"
#include "vmm/report/run_info.hpp"

namespace stackrig::report {

/// Workflow commands, one a line, for what is not as expected: one per distinct violation and at most ten of a kind,
/// for GitHub shows no more; what is left out is counted in a notice.
[[nodiscard]] std::string github_annotations(const std::vector<explore::ScenarioResult>& results);

/// Markdown for $GITHUB_STEP_SUMMARY, at most 1 MiB: counts, claims, and the text of each failure as far as it fits.
[[nodiscard]] std::string github_summary(const RunInfo& info, const std::vector<explore::ScenarioResult>& results);

}  // namespace stackrig::report
