// Sweeps for the stream, for files, and for people.
#pragma once

#include <string>

#include "vmm/engine/plan.hpp"
#include "vmm/explore/sweep_result.hpp"
#include "vmm/report/json.hpp"

namespace stackrig::report {

[[nodiscard]] Json to_json(const explore::SweepResult& result);
/// The inverse; an error names what is missing or of another type.
[[nodiscard]] Result<explore::SweepResult> sweep_from_json(const Json& json);

/// What was covered and what was not, per event in total and per function where something is left; the bounds, what the
/// comparison ignores, and what a clean sweep means. `complete`: every boundary of the trunk was swept.
[[nodiscard]] std::string coverage_statement(const explore::SweepResult& result, bool complete);

/// One finding: what, where, how often, the decisions; at most 72 columns outside of pictures.
[[nodiscard]] std::string finding_text(const explore::Finding& finding);

/// Executed placements in percent of the applicable ones (100 when there are none).
[[nodiscard]] double executed_percent(const explore::SweepResult& result);

}  // namespace stackrig::report
