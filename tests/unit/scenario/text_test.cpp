// Positions: what a caret points at, whatever stands in front of it.
#include "vmm/scenario/text.hpp"

#include <gtest/gtest.h>

#include "vmm/scenario/diagnostic.hpp"

namespace stackrig::scenario {
namespace {

/// The piece of the first string literal in `file`.
Piece first_string(const SourceText& source, Position at, std::string_view value) {
    return toml_string_piece(source, at, value);
}

std::string caret_of(const std::string& line, std::uint32_t column, std::uint32_t length) {
    const SourceText source("f", line);
    Reporter reporter(source);
    reporter.error({{1, column}, length}, "x");
    const std::string text = render(reporter.take().front());
    const std::size_t last = text.rfind("      | ");
    return text.substr(last + 8, text.size() - last - 9);
}

TEST(Text, PlainPieceCountsCharactersNotBytes) {
    const Piece piece = plain_piece("aé日b", {3, 5});
    ASSERT_EQ(piece.where.size(), piece.text.size() + 1);
    EXPECT_EQ(piece.span(6, 7), (Span{{3, 8}, 1}));  // b: after a, é (2 bytes), 日 (3 bytes)
    EXPECT_EQ(piece.whole(), (Span{{3, 5}, 4}));
}

TEST(Text, EscapesTakeTheColumnsTheyAreWrittenIn) {
    const SourceText source("f", R"(k = "a\tb\u00e9c\\d")");
    const Piece piece = first_string(source, {1, 5},
                                     "a\tb\xc3\xa9"
                                     "c\\d");
    EXPECT_EQ(piece.span(0, 1), (Span{{1, 6}, 1}));   // a
    EXPECT_EQ(piece.span(1, 2), (Span{{1, 7}, 2}));   // \t
    EXPECT_EQ(piece.span(3, 5), (Span{{1, 10}, 6}));  // \u00e9
    EXPECT_EQ(piece.span(5, 6), (Span{{1, 16}, 1}));  // c
    EXPECT_EQ(piece.span(7, 8), (Span{{1, 19}, 1}));  // d
}

TEST(Text, LiteralStringsHaveNoEscapes) {
    const SourceText source("f", R"(k = 'a\tb')");
    const Piece piece = first_string(source, {1, 5}, R"(a\tb)");
    EXPECT_EQ(piece.span(3, 4), (Span{{1, 9}, 1}));
}

TEST(Text, MultilineStringsDropTheFirstNewlineAndLineEndingBackslashes) {
    const SourceText source("f", "k = \"\"\"\nab \\\n   cd\nef\"\"\"");
    const Piece piece = first_string(source, {1, 5}, "ab cd\nef");
    EXPECT_EQ(piece.span(0, 2), (Span{{2, 1}, 2}));
    EXPECT_EQ(piece.span(3, 5), (Span{{3, 4}, 2}));
    EXPECT_EQ(piece.span(6, 8), (Span{{4, 1}, 2}));
}

TEST(Text, QuotesBeforeTheClosingThreeBelongToTheString) {
    const SourceText source("f", "k = \"\"\"a\"\"\"\"\"");
    const Piece piece = first_string(source, {1, 5}, "a\"\"");
    EXPECT_EQ(piece.span(2, 3), (Span{{1, 10}, 1}));
}

TEST(Text, AnUnexpectedValueIsPointedAtAsAWhole) {
    const SourceText source("f", "k = \"abc\"");
    const Piece piece = first_string(source, {1, 5}, "something else");
    EXPECT_EQ(piece.span(4, 6).at, (Position{1, 5}));
}

TEST(Text, LinesWithoutTheirEndsAndWithoutByteOrderMark) {
    const SourceText source("f", "\xef\xbb\xbfone\r\ntwo\n");
    EXPECT_EQ(source.line(1), "one");
    EXPECT_EQ(source.line(2), "two");
    EXPECT_EQ(source.line(3), "");
    EXPECT_EQ(source.line(9), "");
    EXPECT_EQ(source.text().substr(source.offset({2, 3}), 1), "o");
}

TEST(Text, PrintableReplacesBrokenUtf8AndControlCharacters) {
    EXPECT_EQ(printable("a\x1b\xff\xc3(\t"), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd(\t");
    EXPECT_EQ(printable("\xed\xa0\x80").size(), 9u);  // a lone surrogate is three bad bytes
    EXPECT_EQ(printable("é日"), "é日");
}

TEST(Caret, StandsUnderTheCharacter) {
    EXPECT_EQ(caret_of("abc def", 5, 3), "    ^~~");
    EXPECT_EQ(caret_of("\ta\tb", 4, 1), "\t \t^");
    EXPECT_EQ(caret_of("日本 x", 4, 1), "     ^");    // wide characters take two cells
    EXPECT_EQ(caret_of("e\xcc\x81 x", 4, 1), "  ^");  // a combining accent takes none
    EXPECT_EQ(caret_of("日本", 1, 2), "^~~~");
    EXPECT_EQ(caret_of("abc", 4, 1), "   ^");  // behind the end of the line
}

TEST(Caret, LongLinesAreCutAroundIt) {
    const std::string line = std::string(300, 'a') + "HERE" + std::string(300, 'b');
    const SourceText source("f", line);
    Reporter reporter(source);
    reporter.error({{1, 301}, 4}, "x");
    const Diagnostic d = reporter.take().front();
    EXPECT_EQ(d.source_line, line);
    const std::string text = render(d);
    const std::size_t shown = text.find("HERE") - text.find("    1 | ");
    const std::size_t caret = text.find("^~~~") - text.find("      | ");
    EXPECT_EQ(shown, caret);
    EXPECT_LT(text.size(), 500u);
}

TEST(Reporter, KeepsColumnsInsideTheLineAndOneBehind) {
    const SourceText source("f", "ab\r\n");
    Reporter reporter(source);
    reporter.error({{1, 9}, 1}, "x");
    reporter.error({{2, 7}, 1}, "y");
    const Diagnostics found = reporter.take();
    EXPECT_EQ(found[0].column, 3u);
    EXPECT_EQ(found[1].column, 1u);
}

TEST(Reporter, SortsByPlaceAndDropsDuplicates) {
    const SourceText source("f", "ab\ncd");
    Reporter reporter(source);
    reporter.error({{2, 1}, 1}, "later");
    reporter.error({{1, 2}, 1}, "first");
    reporter.error({{2, 1}, 1}, "later");
    const Diagnostics found = reporter.take();
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].text, "first");
    EXPECT_EQ(found[1].text, "later");
    EXPECT_EQ(found[1].source_line, "cd");
}

}  // namespace
}  // namespace stackrig::scenario
