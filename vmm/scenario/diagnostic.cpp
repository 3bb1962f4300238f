// Rendering of problems: the caret must stand under the character, whatever tabs and scripts precede it.
#include "vmm/scenario/diagnostic.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <set>
#include <tuple>

namespace stackrig::scenario {
namespace {

std::uint32_t code_point(std::string_view character) {
    const auto lead = static_cast<unsigned char>(character[0]);
    if (character.size() == 1) {
        return lead;
    }
    std::uint32_t value = lead & (0xffu >> (character.size() + 1));
    for (const char c : character.substr(1)) {
        value = (value << 6) | (static_cast<unsigned char>(c) & 0x3f);
    }
    return value;
}

/// Terminal cells of a character: combining marks take none, East Asian wide forms and emoji two (UAX #11,
/// coarse).
std::size_t cells(std::string_view character) {
    const std::uint32_t c = code_point(character);
    const auto within = [c](std::uint32_t first, std::uint32_t last) { return c >= first && c <= last; };
    if (within(0x300, 0x36f) || within(0x200b, 0x200f) || within(0xfe00, 0xfe0f) || within(0x20d0, 0x20ff)) {
        return 0;
    }
    if (within(0x1100, 0x115f) || within(0x2e80, 0xa4cf) || within(0xac00, 0xd7a3) ||
        within(0xf900, 0xfaff) || within(0xfe30, 0xfe6f) || within(0xff00, 0xff60) ||
        within(0xffe0, 0xffe6) || within(0x1f300, 0x1faff) || within(0x20000, 0x3fffd)) {
        return 2;
    }
    return 1;
}

/// White space as wide as the first `characters` of `line`, then a caret and tildes over the next `length`.
std::string caret_line(std::string_view line, std::uint32_t characters, std::uint32_t length) {
    std::string out;
    std::size_t i = 0;
    for (std::uint32_t n = 0; n < characters && i < line.size(); ++n) {
        const std::size_t bytes = utf8_length(line, i);
        if (line[i] == '\t') {
            out += '\t';
        } else {
            out.append(cells(line.substr(i, bytes)), ' ');
        }
        i += bytes;
    }
    std::size_t width = 0;
    for (std::uint32_t n = 0; n < length && i < line.size(); ++n) {
        const std::size_t bytes = utf8_length(line, i);
        width += cells(line.substr(i, bytes));
        i += bytes;
    }
    return out + '^' + std::string(width > 1 ? width - 1 : 0, '~');
}

constexpr std::uint32_t widest_line = 140;  ///< characters; longer lines are cut around the caret
constexpr std::uint32_t kept_before = 60;
constexpr std::string_view cut_mark = "...";

/// Characters [first, last) of a line.
std::string_view characters(std::string_view line, std::uint32_t first, std::uint32_t last) {
    std::size_t begin = line.size();
    std::size_t i = 0;
    std::uint32_t n = 0;
    for (; i < line.size() && n < last; ++n) {
        begin = n == first ? i : begin;
        i += utf8_length(line, i);
    }
    return line.substr(std::min(begin, i), i - std::min(begin, i));
}

struct Window {
    std::string text;
    std::uint32_t before;  ///< characters in front of the caret
};

Window window(std::string_view line, std::uint32_t before) {
    if (characters(line, 0, widest_line + 1).size() == characters(line, 0, widest_line).size()) {
        return {std::string(line), before};
    }
    const std::uint32_t first = before > widest_line - kept_before ? before - kept_before : 0;
    const std::string_view part = characters(line, first, first + widest_line);
    const bool more = part.data() + part.size() != line.data() + line.size();
    const std::string_view lead = first == 0 ? "" : cut_mark;
    return {fmt::format("{}{}{}", lead, part, more ? cut_mark : ""),
            before - first + static_cast<std::uint32_t>(lead.size())};
}

}  // namespace

std::string render(const Diagnostic& d) {
    if (d.line == 0) {
        return fmt::format("{}: error: {}\n{}", d.file, d.text,
                           d.hint.empty() ? "" : fmt::format("      = {}\n", d.hint));
    }
    std::string out = fmt::format("{}:{}:{}: error: {}\n", d.file, d.line, d.column, d.text);
    const Window shown = window(d.source_line, d.column - 1);
    out += fmt::format("{:>5} | {}\n", d.line, shown.text);
    out += fmt::format("      | {}\n", caret_line(shown.text, shown.before, d.length));
    if (!d.hint.empty()) {
        out += fmt::format("      = {}\n", d.hint);
    }
    return out;
}

std::string render(const Diagnostics& diagnostics) {
    std::string out;
    for (const Diagnostic& d : diagnostics) {
        out += render(d) + '\n';
    }
    if (!diagnostics.empty()) {
        std::set<std::string_view> files;
        for (const Diagnostic& d : diagnostics) {
            files.insert(d.file);
        }
        const std::size_t count = diagnostics.size();
        out += fmt::format("{}: {} error{}\n", files.size() == 1 ? diagnostics.front().file : fmt::format("{} files", files.size()), count, count == 1 ? "" : "s");
    }
    return out;
}

Error to_error(const Diagnostics& diagnostics) { return {ErrorKind::usage, render(diagnostics)}; }

void Reporter::error(Span where, std::string text, std::string hint) {
    const std::string_view line = source_.line(where.at.line);
    // The TOML parser counts a line's end, or what would stand behind the file's, as a column.
    const std::uint32_t column = std::min(where.at.column, utf8_count(line) + 1);
    found_.push_back(
        {source_.file(), where.at.line, column, where.length, printable(text), printable(hint), printable(line)});
}

Diagnostics Reporter::take() {
    const auto key = [](const Diagnostic& d) { return std::tie(d.line, d.column, d.text); };
    std::stable_sort(found_.begin(), found_.end(),
                     [&](const Diagnostic& a, const Diagnostic& b) { return key(a) < key(b); });
    const auto same = [&](const Diagnostic& a, const Diagnostic& b) { return key(a) == key(b); };
    found_.erase(std::unique(found_.begin(), found_.end(), same), found_.end());
    return std::move(found_);
}

}  // namespace stackrig::scenario
