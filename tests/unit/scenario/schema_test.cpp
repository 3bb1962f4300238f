// The table of keys against the loader: each key is read, has the type it says, and its limits and words are the loader's.
#include "vmm/scenario/schema.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/unit/scenario/fake_guest.hpp"
#include "vmm/scenario/scenario.hpp"
#include "vmm/scenario/skeleton.hpp"

namespace stackrig::scenario {
namespace {

using Type = SchemaKey::Type;

/// A valid file as tables of keys, from which single values can be replaced.
class File {
  public:
    File() {
        tables_[""] = {{"schema", "1"}, {"name", "\"n\""}, {"why", "\"w\""}};
        tables_["threads.A"] = {{"program", "[\"spin\"]"}};
        tables_["run"] = {{"schedule", "[\"run A until user\"]"}};
    }
    File& set(std::string table, const std::string& key, const std::string& value) {
        if (table == "threads.*") {
            table = "threads.A";
        } else if (table == "variants.*") {
            table = "variants.v";
        }
        if (table == "expect" && key != "violation") {
            tables_[table]["violation"] = "\"INV-19\"";
        }
        if (key == "schedule" && table.empty()) {
            tables_["run"].erase("schedule");
        }
        tables_[table][key] = value;
        return *this;
    }
    /// What the loader says about it.
    [[nodiscard]] std::string problems() const {
        std::string text;
        for (const auto& [table, keys] : tables_) {
            text += table.empty() ? "" : "[" + table + "]\n";
            for (const auto& [key, value] : keys) {
                text += key + " = " + value + "\n";
            }
        }
        const FakeSymbols symbols;
        const auto checked = check(text, "f.toml", symbols);
        return checked ? "" : render(checked.error());
    }

  private:
    std::map<std::string, std::map<std::string, std::string>> tables_;
};

std::string problems_with(const SchemaKey& row, const std::string& value) { return File().set(row.table, row.key, value).problems(); }

/// Rows with a value of their own.
std::vector<SchemaKey> rows() {
    std::vector<SchemaKey> out;
    for (const SchemaKey& row : schema()) {
        if (row.type != Type::table) {
            out.push_back(row);
        }
    }
    return out;
}

TEST(Schema, TheFileTheTestsStartFromIsGood) { EXPECT_EQ(File().problems(), ""); }

TEST(Schema, EveryKeyIsReadAndNoneTakesAnything) {
    for (const SchemaKey& row : rows()) {
        const std::string wrong = problems_with(row, "1979-05-27");
        EXPECT_NE(wrong.find(row.key), std::string::npos) << row.table << "." << row.key << " takes a date: " << wrong;
        EXPECT_EQ(wrong.find("unknown key"), std::string::npos) << row.table << "." << row.key;
    }
    EXPECT_NE(File().set("guest", "cach_pages", "1").problems().find("unknown key"), std::string::npos);
}

TEST(Schema, EveryExampleIsOfTheRightType) {
    for (const SchemaKey& row : rows()) {
        const std::string said = problems_with(row, row.example);
        EXPECT_EQ(said.find("must be"), std::string::npos) << row.key << ": " << said;
        EXPECT_FALSE(row.meaning.empty()) << row.key;
    }
}

TEST(Schema, LimitsAreTheLoaders) {
    unsigned limits = 0;
    for (const SchemaKey& row : rows()) {
        if (row.type != Type::integer && row.type != Type::size) {
            continue;
        }
        const auto out_of_range = [&](std::int64_t value) {
            const std::string said = problems_with(row, fmt::format("{}", value));
            return said.find("must be") != std::string::npos || said.find("this build reads schema") != std::string::npos;
        };
        EXPECT_TRUE(out_of_range(row.most + 1)) << row.key << " = " << row.most + 1 << " passes";
        EXPECT_NE(problems_with(row, fmt::format("{}", row.least - 1)), "") << row.key << " = " << row.least - 1 << " passes";
        if (row.key != "cpu" && row.key != "free_pages") {  // limited by what else the file says: CPUs and RAM
            EXPECT_FALSE(out_of_range(row.most)) << row.key << ": " << problems_with(row, fmt::format("{}", row.most));
        }
        EXPECT_FALSE(out_of_range(row.least)) << row.key << ": " << problems_with(row, fmt::format("{}", row.least));
        ++limits;
    }
    EXPECT_GT(limits, 20u);
}

TEST(Schema, WordsAreTheLoaders) {
    for (const SchemaKey& row : rows()) {
        if (row.words.empty()) {
            continue;
        }
        const auto said_of = [&](const std::string& word) {
            return problems_with(row, row.type == Type::ids ? "[\"" + word + "\"]" : "\"" + word + "\"");
        };
        const std::string said = said_of("zzz");
        EXPECT_NE(said.find("zzz"), std::string::npos) << row.key << " takes any word";
        if (said.find("one of: ") != std::string::npos) {
            EXPECT_NE(said.find(fmt::format("one of: {}", fmt::join(row.words, ", "))), std::string::npos) << row.key << ": " << said;
        }
        for (const std::string& word : row.words) {
            EXPECT_EQ(said_of(word).find(fmt::format("cannot be \"{}\"", word)), std::string::npos) << row.key << " = " << word;
            EXPECT_EQ(said_of(word).find("unknown"), std::string::npos) << row.key << " = " << word << ": " << said_of(word);
        }
    }
}

TEST(Schema, RequiredKeysAreTheLoaders) {
    const FakeSymbols symbols;
    const auto nothing = check("", "f.toml", symbols);
    ASSERT_FALSE(nothing);
    const std::string said = render(nothing.error());
    for (const SchemaKey& row : schema()) {
        if (row.table.empty()) {
            const bool missing = said.find(fmt::format("\"{}\" is missing", row.key)) != std::string::npos || (row.key == "threads" && said.find("threads") != std::string::npos);
            EXPECT_EQ(missing, row.required || row.key == "schedule") << row.key << ": " << said;
        }
    }
}

TEST(Skeleton, ChecksAsItIs) {
    const FakeSymbols symbols;
    const auto checked = check(skeleton("my-idea", "../docs/scenario.schema.json"), "my-idea.toml", symbols);
    EXPECT_TRUE(checked) << render(checked.error());
    EXPECT_TRUE(good_name("a-1"));
    EXPECT_FALSE(good_name("A"));
    EXPECT_FALSE(good_name(""));
    EXPECT_FALSE(good_name("a b"));
}

}  // namespace
}  // namespace stackrig::scenario
