// Cleaning and escaping.
#include "vmm/report/clean.hpp"

#include <algorithm>

#include "vmm/scenario/text.hpp"

namespace stackrig::report {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";

bool forbidden(std::string_view character) {
    const auto first = static_cast<unsigned char>(character.front());
    if (character.size() == 1) {
        return first >= 0x7f || (first < 0x20 && first != '\t' && first != '\n');
    }
    // C1 controls, and the two noncharacters of the basic plane that XML excludes.
    const auto second = static_cast<unsigned char>(character[1]);
    return (first == 0xc2 && second < 0xa0) || character == "\xef\xbf\xbe" || character == "\xef\xbf\xbf";
}

}  // namespace

std::string clean(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const std::string_view character = text.substr(i, scenario::utf8_length(text, i));
        out += forbidden(character) ? replacement : character;
        i += character.size();
    }
    return out;
}

std::string one_line(std::string_view text) {
    std::string out = clean(text);
    std::replace_if(
        out.begin(), out.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
    return out;
}

std::string xml(std::string_view text) {
    std::string out;
    for (const char c : clean(text)) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default: out += c;
        }
    }
    return out;
}

}  // namespace stackrig::report
