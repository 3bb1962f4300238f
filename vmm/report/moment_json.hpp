// Recorded stops as JSON: for the stream between worker and front end, and for the HTML report's scripts.
#pragma once

#include "vmm/base/result.hpp"
#include "vmm/explore/result.hpp"
#include "vmm/report/json.hpp"

namespace stackrig::report {

/// {"left_out", "cpus": [...], "threads": [...], "moments": [...]}: what does not change from stop to stop is written
/// once, moments hold indices into the two tables. Addresses and register values are hex strings.
[[nodiscard]] Json to_json(const explore::Timeline& timeline);
/// The inverse. Throws nlohmann's and std::out_of_range errors; result_from_json() catches them.
[[nodiscard]] explore::Timeline timeline_from_json(const Json& json);

[[nodiscard]] Json to_json(const engine::CpuState& regs);
[[nodiscard]] engine::CpuState regs_from_json(const Json& json);

}  // namespace stackrig::report
