// A scenario with [explore]: swept as a whole, and judged like any other scenario.
#pragma once

#include "vmm/explore/result.hpp"
#include "vmm/explore/single.hpp"
#include "vmm/scenario/scenario.hpp"

namespace stackrig::explore {

/// The expected violation must be found by some placement, and no other one than those in `also`; with none expected the sweep
/// must be clean. Errors are the host's or the rig's.
[[nodiscard]] Result<ScenarioResult> run_sweep(const Bench& bench, const scenario::Scenario& scenario);

/// Of a sweep of the whole trunk, wherever its parts were run.
[[nodiscard]] ScenarioResult sweep_result(const scenario::Scenario& scenario, SweepResult sweep);

}  // namespace stackrig::explore
