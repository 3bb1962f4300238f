// The scenario format for others: a JSON Schema for editors, the document's tables, the list of words.
#pragma once

#include <string>

#include "vmm/report/json.hpp"

namespace stackrig::report {

/// JSON Schema, draft 7: what TOML plug-ins of editors complete and check.
[[nodiscard]] Json scenario_json_schema();

/// Every key of a scenario file as Markdown tables, for docs/scenario-format.md.
[[nodiscard]] std::string scenario_keys_markdown();

/// Every word of programs, schedules, places and predicates, with an example and a meaning where the guest's own tables
/// have one: for `list --verbs`.
[[nodiscard]] std::string scenario_words();

}  // namespace stackrig::report
