// Reading the line table.
#include "vmm/x86/lines.hpp"

#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <iterator>

namespace stackrig::x86 {
namespace {

/// Takes the next word off `text`, up to a blank.
std::string_view word(std::string_view& text) {
    const std::string_view out = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), out.size() + 1));
    return out;
}

template <class Int>
std::optional<Int> number(std::string_view text, int base = 10) {
    Int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return error == std::errc() && end == text.data() + text.size() && !text.empty() ? std::optional(value) : std::nullopt;
}

}  // namespace

Result<LineTable> LineTable::parse(std::string_view text, std::uint64_t build_hash) {
    LineTable table;
    const auto next_line = [&] {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        return line;
    };
    std::string_view head = next_line();
    if (word(head) != "stackrig-lines" || word(head) != "1") {
        return fail(ErrorKind::usage, "it is no table of source lines");
    }
    if (number<std::uint64_t>(word(head), 16) != build_hash) {
        return fail(ErrorKind::usage, "it belongs to another build of the guest");
    }
    while (!text.empty()) {
        const std::string_view whole = next_line();
        std::string_view line = whole;
        const std::string_view kind = word(line);
        bool good = true;
        if (kind == "F") {
            table.files_.emplace_back(line);
        } else if (kind == "E") {
            const auto address = number<std::uint64_t>(word(line), 16);
            good = address.has_value();
            table.rows_[address.value_or(0)] = {};
        } else {
            const auto address = kind == "L" ? number<std::uint64_t>(word(line), 16) : 0;
            const auto file = number<std::uint32_t>(word(line));
            const auto row = number<std::uint32_t>(word(line));
            good = (kind == "L" || kind == "S") && address && file && row && *file < table.files_.size();
            if (good && kind == "L") {
                table.rows_[*address] = {*file, *row};
            } else if (good) {
                table.texts_[{*file, *row}] = line;
            }
        }
        if (!good) {
            return fail(ErrorKind::usage, fmt::format("the table of source lines holds \"{}\"", whole));
        }
    }
    return table;
}

Result<LineTable> LineTable::load(const std::string& path, std::uint64_t build_hash) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    auto table = file ? parse(text, build_hash) : Result<LineTable>(fail(ErrorKind::usage, "it cannot be read"));
    if (!table) {
        return fail(ErrorKind::usage, fmt::format("{}: {}; `ninja -C build` makes it", path, table.error().text));
    }
    return table;
}

std::optional<SourceLine> LineTable::find(Gva address) const {
    const auto after = rows_.upper_bound(address.value());
    if (after == rows_.begin()) {
        return std::nullopt;
    }
    const Row row = std::prev(after)->second;
    if (row.line == 0) {
        return std::nullopt;
    }
    const auto text = texts_.find({row.file, row.line});
    return SourceLine{files_[row.file], row.line, text == texts_.end() ? "" : text->second};
}

}  // namespace stackrig::x86
