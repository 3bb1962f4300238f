// The table of source lines: lookup, and every way it can be wrong. That it says what the DWARF says: check-lines.py.
#include "vmm/x86/lines.hpp"

#include <gtest/gtest.h>

namespace stackrig::x86 {
namespace {

constexpr std::string_view table = "stackrig-lines 1 00000000000000ab\nF guest/a.cpp\nF b.S\nS 0 7 f(x);  // twice\n"
                                   "L 1000 0 7\nL 1004 1 9\nE 1010\nL 2000 0 8\n";

TEST(Lines, FindTheRowThatCoversAnAddress) {
    const auto lines = LineTable::parse(table, 0xab);
    ASSERT_TRUE(lines) << lines.error().text;
    EXPECT_FALSE(lines->find(Gva(0xfff)));
    const auto first = lines->find(Gva(0x1003));
    ASSERT_TRUE(first);
    EXPECT_EQ(first->file, "guest/a.cpp");
    EXPECT_EQ(first->line, 7u);
    EXPECT_EQ(first->text, "f(x);  // twice");
    EXPECT_EQ(lines->find(Gva(0x100f))->file, "b.S");
    EXPECT_FALSE(lines->find(Gva(0x1010))) << "behind the end of a sequence nothing is known";
    EXPECT_EQ(lines->find(Gva(0x2000))->text, "");
}

TEST(Lines, RefuseWhatIsNotTheTableOfThisBuild) {
    const auto error = [](std::string_view text, std::uint64_t hash) {
        const auto lines = LineTable::parse(text, hash);
        return lines ? "(no error)" : lines.error().text;
    };
    EXPECT_EQ(error(table, 0xac), "it belongs to another build of the guest") << "lines would be off by a few and nobody would notice";
    EXPECT_EQ(error("", 0), "it is no table of source lines");
    EXPECT_EQ(error("stackrig-lines 2 00000000000000ab\n", 0xab), "it is no table of source lines");
    for (const char* row : {"L 1000 2 7", "L xyz 0 7", "L 1000 0", "S 0 x text", "E", "X 1", "S 9 1 a"}) {
        EXPECT_EQ(error(std::string(table) + row + "\n", 0xab), "the table of source lines holds \"" + std::string(row) + "\"");
    }
    const auto missing = LineTable::load("/no/such/table", 1);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().text, "/no/such/table: it cannot be read; `ninja -C build` makes it");
}

}  // namespace
}  // namespace stackrig::x86
