// Results as JSON: for the stream between worker and front end, and for --jsonl files.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/explore/result.hpp"

namespace stackrig::report {

using Json = nlohmann::ordered_json;  // stable key order

/// 64-bit numbers that are no counts (hashes, addresses) travel as hex strings: JSON readers lose bits.
[[nodiscard]] Json to_json(const explore::ScenarioResult& result);
/// The same without violations and timeline.
[[nodiscard]] Json summary_json(const explore::ScenarioResult& result);
/// The inverse; an error names the field that is missing or of another type.
[[nodiscard]] Result<explore::ScenarioResult> result_from_json(const Json& json);

}  // namespace stackrig::report
