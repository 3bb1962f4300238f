// A tree of values as a TOML file.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "vmm/scenario/document.hpp"

namespace stackrig::scenario {

/// Values that are in no file yet.
[[nodiscard]] Value string_value(std::string text);
[[nodiscard]] Value array_of(const std::vector<std::string>& strings);
[[nodiscard]] Value table_of(std::vector<std::pair<std::string, Value>> members);
/// Adds or replaces.
void set(Value& table, const std::string& key, Value value);
void erase(Value& table, std::string_view key);

/// The file that parse_document() makes `document` of, laid out as `fmt` does. Comments are no values, and none are written. `document`
/// must be without reals and dates, which no scenario has.
[[nodiscard]] std::string write(const Value& document);

}  // namespace stackrig::scenario
