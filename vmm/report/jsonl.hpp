// JSON Lines: one object a line, {"v":1,"t":"host|run|violation|summary",...}, keys in a stable order.
#pragma once

#include <string>
#include <vector>

#include "vmm/explore/result.hpp"
#include "vmm/report/json.hpp"
#include "vmm/report/run_info.hpp"

namespace stackrig::report {

inline constexpr int jsonl_version = 1;  ///< raised when a key changes its meaning; new keys do not raise it

/// JSON as one line of ASCII, newline included: U+2028 would end a line for some readers. No UTF-8 becomes U+FFFD.
[[nodiscard]] std::string json_line(const Json& json);

/// The first line of a file.
[[nodiscard]] std::string jsonl_host(const RunInfo& info);
/// A `run` line, then a `violation` line for each violation.
[[nodiscard]] std::string jsonl_result(const RunInfo& info, const explore::ScenarioResult& result);
/// The last line of a file; a file without one is of a run that did not end.
[[nodiscard]] std::string jsonl_summary(const std::vector<explore::ScenarioResult>& results);

}  // namespace stackrig::report
