// Positions in a scenario file: lines, columns in characters (not bytes), and pieces of decoded text that
// remember them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stackrig::scenario {

/// Line and column count from 1; a column is one Unicode code point. Line 0: no place in the file.
struct Position {
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    bool operator==(const Position&) const = default;
};

/// `length` code points from `at`, within one line.
struct Span {
    Position at;
    std::uint32_t length = 1;
    bool operator==(const Span&) const = default;
};

/// Length in bytes of the UTF-8 character at `offset`; 1 for bytes that belong to none.
[[nodiscard]] std::size_t utf8_length(std::string_view text, std::size_t offset);

/// Characters of `text`; a byte that belongs to none counts as one.
[[nodiscard]] std::uint32_t utf8_count(std::string_view text);

/// `text` with every byte that is not UTF-8, and every control character but TAB, replaced by U+FFFD.
[[nodiscard]] std::string printable(std::string_view text);

/// A whole file, addressed by line and column.
class SourceText {
  public:
    SourceText(std::string file, std::string text);
    [[nodiscard]] const std::string& file() const { return file_; }
    [[nodiscard]] std::string_view text() const { return text_; }
    /// Line `number` without its line end; empty outside the file.
    [[nodiscard]] std::string_view line(std::uint32_t number) const;
    /// Byte offset of a position; the end of its line when the column lies behind it.
    [[nodiscard]] std::size_t offset(Position at) const;

  private:
    std::string file_;
    std::string text_;
    std::vector<std::size_t> line_starts_;
};

/// Text as the parser of sentences sees it (escapes decoded), each byte with its position in the file.
struct Piece {
    std::string text;
    std::vector<Position> where;  ///< text.size() + 1 entries
    /// The place in the file of bytes [begin, end).
    [[nodiscard]] Span span(std::size_t begin, std::size_t end) const;
    [[nodiscard]] Span whole() const { return span(0, text.size()); }
};

/// Text without escapes that starts at `at`.
[[nodiscard]] Piece plain_piece(std::string_view text, Position at = {1, 1});

/// The TOML string whose opening quote is at `at` and whose value is `value`.
[[nodiscard]] Piece toml_string_piece(const SourceText& source, Position at, std::string_view value);

}  // namespace stackrig::scenario
