// The runs that show a sweep's findings, for the reports that draw.
#pragma once

#include <vector>

#include "vmm/cli/crew.hpp"
#include "vmm/explore/result.hpp"

namespace stackrig::cli {

/// The run that shows each finding, with all its stops, for the reports that draw. The first few only, which is what a report has
/// room for. One that is lost is an error that says why; the finding itself has been reported.
[[nodiscard]] std::vector<explore::ScenarioResult> shown_findings(Crew& crew, const CheckedSource& source, const std::vector<explore::Finding>& findings,
                                                                  std::uint64_t guest, bool every_instruction);

}  // namespace stackrig::cli
