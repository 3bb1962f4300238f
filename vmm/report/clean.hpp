// Text that other programs will parse: valid UTF-8 without control characters, and the escapes of each format.
#pragma once

#include <string>
#include <string_view>

namespace stackrig::report {

/// Every byte that is not UTF-8, and every control character other than TAB and LF, becomes U+FFFD. (XML 1.0, 2.2
/// forbids the latter even as character references.)
[[nodiscard]] std::string clean(std::string_view text);

/// clean(), on one line: TAB and LF become spaces.
[[nodiscard]] std::string one_line(std::string_view text);

/// clean() with & < > " ' escaped: for XML and HTML, in text and in quoted attributes.
[[nodiscard]] std::string xml(std::string_view text);

}  // namespace stackrig::report
