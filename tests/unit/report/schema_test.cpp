// docs/scenario-format.md and docs/scenario.schema.json against the table of keys and the vocabulary.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "vmm/report/scenario_schema.hpp"

namespace stackrig::report {
namespace {

const bool update = std::getenv("STACKRIG_UPDATE_GOLDEN") != nullptr;

std::string path_of(const std::string& name) { return std::string(STACKRIG_SOURCE_ROOT) + "/docs/" + name; }

std::string read(const std::string& name) {
    std::ifstream in(path_of(name));
    return {std::istreambuf_iterator<char>(in), {}};
}

/// The document's part between `<!-- NAME: ... -->` and `<!-- /NAME -->` is `expected`.
void expect_part(const std::string& name, const std::string& expected) {
    std::string text = read("scenario-format.md");
    const std::size_t head = text.find("<!-- " + name + ": ");
    const std::size_t to = text.find("<!-- /" + name + " -->");
    ASSERT_TRUE(head != std::string::npos && to != std::string::npos && head < to);
    const std::size_t from = text.find('\n', head) + 1;
    if (update) {
        text.replace(from, to - from, expected);
        std::ofstream(path_of("scenario-format.md")) << text;
    } else {
        EXPECT_EQ(text.substr(from, to - from), expected) << "STACKRIG_UPDATE_GOLDEN=1 rewrites it";
    }
}

TEST(ScenarioDocument, ItsKeysAreThoseOfTheTable) { expect_part("keys", scenario_keys_markdown()); }

TEST(ScenarioDocument, ItsWordsAreThoseOfTheGrammar) { expect_part("words", "```text\n" + scenario_words() + "```\n"); }

TEST(ScenarioDocument, TheSchemaInTheTreeIsThatOfTheTable) {
    const std::string schema = scenario_json_schema().dump(1) + "\n";
    if (update) {
        std::ofstream(path_of("scenario.schema.json")) << schema;
    }
    EXPECT_EQ(read("scenario.schema.json"), schema) << "STACKRIG_UPDATE_GOLDEN=1 rewrites it";
}

TEST(ScenarioDocument, EveryWordHasAMeaning) {
    std::istringstream lines(scenario_words());
    unsigned words = 0;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("  ")) {
            const std::size_t gap = line.find_first_of(" ", 2);
            EXPECT_NE(line.find_first_not_of(' ', std::min(gap, line.size())), std::string::npos) << "no meaning: " << line;
            ++words;
        }
    }
    EXPECT_GT(words, 100u);
}

}  // namespace
}  // namespace stackrig::report
