// JUnit XML, as GitLab, Jenkins and GitHub actions read it: one suite per folder, one case per scenario.
#pragma once

#include <string>
#include <vector>

#include "vmm/explore/result.hpp"
#include "vmm/report/run_info.hpp"

namespace stackrig::report {

/// The whole document. Readers disagree about attributes, so that what a person needs to see a failure again
/// stands in the failure's text as well.
[[nodiscard]] std::string junit(const RunInfo& info, const std::vector<explore::ScenarioResult>& results);

}  // namespace stackrig::report
