// The formatter: its layout on one file with everything, that it never changes what a file says, and that once is enough.
#include "vmm/scenario/format.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "vmm/scenario/skeleton.hpp"

namespace stackrig::scenario {
namespace {

namespace fs = std::filesystem;

std::string formatted(const std::string& text) {
    const auto out = format(text, "f.toml");
    EXPECT_TRUE(out) << render(out.error());
    return out.value_or("");
}

TEST(Format, LaysOutEveryPart) {
    EXPECT_EQ(formatted("\r\n\r\n  schema=1 \r\nname   =\"a # b\"# c\n"
                        "why = \"\"\"\n  kept   as it is # too  \n\"\"\" \n"
                        "expect={violation=\"INV-19\"}   #   d\n"
                        "\n\n\n[ guest ]\ncpus =   1\n# of A\n[threads.A]\nprogram=[\n\"spin\" ,# why\n\n   # alone\n ]\nloop=false\n[run]\nschedule = ['run']\n\n\n"),
              "schema = 1\n"
              "name   = \"a # b\"               # c\n"
              "why    = \"\"\"\n  kept   as it is # too  \n\"\"\" \n"
              "expect = {violation=\"INV-19\"}  #   d\n"
              "\n[ guest ]\ncpus = 1\n# of A\n[threads.A]\nprogram = [\n    \"spin\" ,# why\n    # alone\n]\nloop    = false\n\n[run]\nschedule = ['run']\n");
}

TEST(Format, WhatIsNoTomlStaysAndIsSaid) {
    const auto out = format("a = \n", "f.toml");
    ASSERT_FALSE(out);
    EXPECT_EQ(out.error().front().line, 1u);
    EXPECT_FALSE(format("a = \"x\n", "f.toml"));
}

TEST(Format, StringsKeepTheirBlanksQuotesAndEscapes) {
    for (const std::string value : {"\"a  \\\" # b\"", "'a \\'", "\"\"\"a\n\n  \\\n  b\"\"\"\"\"", "'''\n x '''", "[[1], [ \"]\" ]]", "{ a = \"}\" }"}) {
        const std::string text = "k = " + value + "\n";
        EXPECT_EQ(formatted(text), text);
    }
}

/// Blanks put where TOML allows them, at random.
std::string shaken(const std::string& text, std::mt19937& random) {
    std::string out;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::string_view rest = std::string_view(text).substr(i);
        if (rest.starts_with("\"\"\"")) {
            return out + std::string(rest);  // multi-line strings are not shaken
        }
        in_string = in_string != (text[i] == '"');
        out += text[i];
        if (!in_string && text[i] == '\n' && random() % 4 == 0) {
            out += random() % 2 == 0 ? "\n" : "  ";
        }
        if (!in_string && (text[i] == '=' || text[i] == ',') && random() % 3 == 0) {
            out += std::string(1 + random() % 3, ' ');
        }
    }
    return out;
}

TEST(Format, OnceIsEnoughAndBlanksDoNotMatter) {
    std::mt19937 random(7);
    unsigned files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(STACKRIG_SOURCE_ROOT) / "scenarios")) {
        if (entry.path().extension() != ".toml") {
            continue;
        }
        std::ifstream in(entry.path());
        const std::string text{std::istreambuf_iterator<char>(in), {}};
        const std::string once = formatted(text);
        EXPECT_EQ(formatted(once), once) << entry.path();
        for (int i = 0; i < 5; ++i) {
            const std::string other = formatted(shaken(once, random));
            EXPECT_EQ(formatted(other), other) << entry.path();
        }
        ++files;
    }
    EXPECT_GT(files, 20u);
}

TEST(Format, TheSkeletonIsFormatted) { EXPECT_EQ(formatted(skeleton("a", "x.json")), skeleton("a", "x.json")); }

}  // namespace
}  // namespace stackrig::scenario
