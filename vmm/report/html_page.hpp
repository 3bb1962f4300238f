// The HTML report's page, cut at the places where a report puts its text and its data. Made at build from html/.
#pragma once

#include <string_view>

namespace stackrig::report {

struct HtmlPage {
    std::string_view before_text;
    std::string_view before_data;
    std::string_view end;
};
[[nodiscard]] const HtmlPage& html_page();

}  // namespace stackrig::report
