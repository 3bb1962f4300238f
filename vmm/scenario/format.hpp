// The layout of scenario files: what `fmt` makes of one.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "vmm/scenario/diagnostic.hpp"

namespace stackrig::scenario {

/// `text` with its `=` aligned within each block of keys, arrays over several lines indented by four, one blank line before
/// each header, and no blanks at line ends. Comments and the spelling of values stay. Formatting twice changes nothing more.
/// An error when the file is no TOML. What the file means is compared before and after; a difference is an error, too.
[[nodiscard]] tl::expected<std::string, Diagnostics> format(std::string_view text, std::string file);

}  // namespace stackrig::scenario
