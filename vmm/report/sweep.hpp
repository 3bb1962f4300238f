// Sweeps for the stream, for files, and for people.
#pragma once

#include <string>

#include "vmm/engine/plan.hpp"
#include "vmm/explore/sweep_result.hpp"
#include "vmm/report/json.hpp"

namespace stackrig::report {

[[nodiscard]] Json to_json(const explore::SweepResult& result);
[[nodiscard]] Json to_json(const explore::Cell& cell);
[[nodiscard]] Json to_json(const explore::Finding& finding);
[[nodiscard]] explore::Finding finding_from_json(const Json& json);  // throws what the library throws
/// The inverse; an error names what is missing or of another type.
[[nodiscard]] Result<explore::SweepResult> sweep_from_json(const Json& json);

/// What was covered and what was not, per event in total and per function where something is left; the bounds, what the
/// comparison ignores, and what a clean sweep means.
[[nodiscard]] std::string coverage_statement(const explore::SweepResult& result);

/// One finding: what, where, how often, the decisions; at most 72 columns outside of pictures.
[[nodiscard]] std::string finding_text(const explore::Finding& finding);

/// Executed placements in percent of the applicable ones (100 when there are none).
[[nodiscard]] double executed_percent(const explore::SweepResult& result);

}  // namespace stackrig::report
