// UTF-8, lines, and the walk over a TOML string literal that finds where each decoded byte was written.
#include "vmm/scenario/text.hpp"

#include <algorithm>

namespace stackrig::scenario {
namespace {

bool continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

/// Bytes a lead byte announces; 0 when it is none (RFC 3629).
std::size_t announced_length(char lead) {
    const auto byte = static_cast<unsigned char>(lead);
    if (byte < 0x80) {
        return 1;
    }
    if (byte >= 0xc2 && byte <= 0xdf) {
        return 2;
    }
    if (byte >= 0xe0 && byte <= 0xef) {
        return 3;
    }
    return byte >= 0xf0 && byte <= 0xf4 ? 4 : 0;
}

bool whole_character(std::string_view text, std::size_t offset, std::size_t length) {
    if (length == 0 || offset + length > text.size()) {
        return false;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if (!continuation(text[offset + i])) {
            return false;
        }
    }
    const auto lead = static_cast<unsigned char>(text[offset]);
    const auto second = length > 1 ? static_cast<unsigned char>(text[offset + 1]) : 0u;
    const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
    const bool beyond = (lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f);
    return !overlong && !beyond;
}

/// Reads one TOML string literal. TOML 1.0, "String".
class LiteralWalk {
  public:
    LiteralWalk(std::string_view text, std::size_t offset, Position at)
        : text_(text), next_(offset), at_(at) {}

    Piece run() {
        quote_ = peek();
        const bool triple = text_.substr(next_, 3) == std::string(3, quote_);
        skip(triple ? 3 : 1);
        if (triple && peek() == '\r') {
            skip(1);
        }
        if (triple && peek() == '\n') {  // TOML drops a newline right after the opening delimiter
            skip(1);
        }
        while (next_ < text_.size() && !at_end(triple)) {
            if (quote_ == '"' && peek() == '\\') {
                escape();
            } else {
                copy_character();
            }
        }
        piece_.where.push_back(at_);
        return std::move(piece_);
    }

  private:
    [[nodiscard]] char peek(std::size_t ahead = 0) const {
        return next_ + ahead < text_.size() ? text_[next_ + ahead] : '\0';
    }

    [[nodiscard]] bool at_end(bool triple) const {
        if (peek() != quote_) {
            return !triple && peek() == '\n';
        }
        // Up to two quotes may stand before the closing three and belong to the text.
        return !triple || (peek(1) == quote_ && peek(2) == quote_ && peek(3) != quote_);
    }

    void skip(std::size_t characters) {
        for (; characters > 0 && next_ < text_.size(); --characters) {
            if (text_[next_] == '\n') {
                ++at_.line;
                at_.column = 0;
            }
            ++at_.column;
            next_ += utf8_length(text_, next_);
        }
    }

    void put(std::string_view bytes, Position from) {
        piece_.text += bytes;
        piece_.where.insert(piece_.where.end(), bytes.size(), from);
    }

    void copy_character() {
        const Position from = at_;
        const std::string_view bytes = text_.substr(next_, utf8_length(text_, next_));
        skip(1);
        put(bytes, from);
    }

    void escape() {
        const Position from = at_;
        const char letter = peek(1);
        static constexpr std::string_view letters = "btnfr\"\\";
        static constexpr std::string_view meaning = "\b\t\n\f\r\"\\";
        if (const auto found = letters.find(letter); found != std::string_view::npos) {
            skip(2);
            put(meaning.substr(found, 1), from);
        } else if (letter == 'u' || letter == 'U') {
            code_point(letter == 'u' ? 4 : 8, from);
        } else {  // a backslash at the end of a line swallows white space
            skip(1);
            while (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n') {
                skip(1);
            }
        }
    }

    void code_point(std::size_t digits, Position from) {
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            const char c = peek(2 + i);
            const int digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
            value = value * 16 + static_cast<std::uint32_t>(digit & 0xf);
        }
        skip(2 + digits);
        std::string bytes;
        const auto tail = [&](unsigned shift) {
            bytes += static_cast<char>(0x80 | ((value >> shift) & 0x3f));
        };
        if (value < 0x80) {
            bytes += static_cast<char>(value);
        } else if (value < 0x800) {
            bytes += static_cast<char>(0xc0 | (value >> 6));
            tail(0);
        } else if (value < 0x10000) {
            bytes += static_cast<char>(0xe0 | (value >> 12));
            tail(6);
            tail(0);
        } else {
            bytes += static_cast<char>(0xf0 | ((value >> 18) & 7));
            tail(12);
            tail(6);
            tail(0);
        }
        put(bytes, from);
    }

    std::string_view text_;
    std::size_t next_;
    Position at_;
    char quote_ = '"';
    Piece piece_;
};

}  // namespace

std::size_t utf8_length(std::string_view text, std::size_t offset) {
    const std::size_t length = announced_length(text[offset]);
    return whole_character(text, offset, length) ? length : 1;
}

std::uint32_t utf8_count(std::string_view text) {
    std::uint32_t count = 0;
    for (std::size_t i = 0; i < text.size(); i += utf8_length(text, i)) {
        ++count;
    }
    return count;
}

std::string printable(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = utf8_length(text, i);
        const auto byte = static_cast<unsigned char>(text[i]);
        const bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
        if (control || (length == 1 && byte >= 0x80)) {
            out += "\xef\xbf\xbd";
        } else {
            out += text.substr(i, length);
        }
        i += length;
    }
    return out;
}

SourceText::SourceText(std::string file, std::string text)
    : file_(std::move(file)), text_(std::move(text)), line_starts_{0} {
    for (std::size_t i = 0; i < text_.size(); ++i) {
        if (text_[i] == '\n') {
            line_starts_.push_back(i + 1);
        }
    }
}

std::string_view SourceText::line(std::uint32_t number) const {
    if (number == 0 || number > line_starts_.size()) {
        return {};
    }
    std::string_view rest = std::string_view(text_).substr(line_starts_[number - 1]);
    rest = rest.substr(0, rest.find('\n'));
    if (rest.ends_with('\r')) {
        rest.remove_suffix(1);
    }
    if (number == 1 && rest.starts_with("\xef\xbb\xbf")) {  // a byte order mark is no character of the file
        rest.remove_prefix(3);
    }
    return rest;
}

std::size_t SourceText::offset(Position at) const {
    const std::string_view line_text = line(at.line);
    std::size_t in_line = 0;
    for (std::uint32_t column = 1; column < at.column && in_line < line_text.size(); ++column) {
        in_line += utf8_length(line_text, in_line);
    }
    return line_text.data() == nullptr ? text_.size()
                                       : static_cast<std::size_t>(line_text.data() - text_.data()) + in_line;
}

Span Piece::span(std::size_t begin, std::size_t end) const {
    const Position from = where.at(std::min(begin, text.size()));
    const Position to = where.at(std::min(end, text.size()));
    const bool one_line = from.line == to.line && to.column > from.column;
    return {from, one_line ? to.column - from.column : 1};
}

Piece plain_piece(std::string_view text, Position at) {
    Piece piece;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = utf8_length(text, i);
        piece.where.insert(piece.where.end(), length, at);
        const bool line_end = text[i] == '\n';
        at = line_end ? Position{at.line + 1, 1} : Position{at.line, at.column + 1};
        i += length;
    }
    piece.where.push_back(at);
    piece.text = text;
    return piece;
}

Piece toml_string_piece(const SourceText& source, Position at, std::string_view value) {
    Piece piece = LiteralWalk(source.text(), source.offset(at), at).run();
    if (piece.text != value) {  // line ends are normalised by the TOML parser: point at the string as a whole
        piece.text = value;
        piece.where.assign(value.size() + 1, at);
    }
    return piece;
}

}  // namespace stackrig::scenario
