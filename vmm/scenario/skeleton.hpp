// The file that `new` begins a scenario with.
#pragma once

#include <string>
#include <string_view>

namespace stackrig::scenario {

/// Whether a scenario may be called so: a-z, 0-9 and -, not empty.
[[nodiscard]] bool good_name(std::string_view name);

/// A scenario that checks, runs and passes as it is, with a comment for each part. `schema`: path of the JSON Schema as an
/// editor finds it from the file; empty: no such line.
[[nodiscard]] std::string skeleton(std::string_view name, std::string_view schema);

}  // namespace stackrig::scenario
