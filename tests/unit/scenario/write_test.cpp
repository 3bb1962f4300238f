// What is written is read back as what it was, for every scenario and variant there is, and is laid out as `fmt` would.
#include "vmm/scenario/write.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "vmm/scenario/format.hpp"
#include "vmm/scenario/variant.hpp"

namespace stackrig::scenario {
namespace {

namespace fs = std::filesystem;

Value parsed(const std::string& text) {
    const SourceText source("a.toml", text);
    Reporter reporter(source);
    auto document = parse_document(source, reporter);
    EXPECT_TRUE(document) << render(reporter.take()) << text;
    return document.value_or(Value());
}

/// The same keys with the same values; tables may come in another order.
bool same(const Value& a, const Value& b) {
    const auto in_b = [&b](const Member& m) {
        const Member* const other = b.member(m.key);
        return other != nullptr && same(m.value, other->value);
    };
    return a.kind == b.kind && a.text.text == b.text.text && a.integer == b.integer && a.boolean == b.boolean &&
           std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), same) && a.members.size() == b.members.size() &&
           std::all_of(a.members.begin(), a.members.end(), in_b);
}

void expect_round_trip(const Value& value, const std::string& what) {
    const std::string text = write(value);
    EXPECT_TRUE(same(parsed(text), value)) << what << "\n" << text;
    EXPECT_EQ(format(text, what).value_or(""), text);
}

TEST(Write, EveryShippedScenarioAndVariantComesBack) {
    unsigned files = 0;
    unsigned variants = 0;
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(STACKRIG_SOURCE_ROOT) / "scenarios")) {
        if (entry.path().extension() != ".toml") {
            continue;
        }
        std::ifstream in(entry.path());
        const Value document = parsed({std::istreambuf_iterator<char>(in), {}});
        expect_round_trip(document, entry.path().string());
        ++files;
        if (const Member* const table = document.member("variants")) {
            for (const Member& variant : table->value.members) {
                expect_round_trip(with_variant(document, variant.value), entry.path().string() + " " + variant.key);
                ++variants;
            }
        }
    }
    EXPECT_GT(files, 50u);
    EXPECT_GT(variants, 20u);
}

TEST(Write, WhatTomlCannotHoldAsItIsIsEscaped) {
    for (const std::string text : {"", "a \"quoted\" \\ word", "two\nlines\n", "\"\"\"\n\"\"\"", "tab\tand bell\a", "caf\xc3\xa9", "ends in \\\n"}) {
        expect_round_trip(table_of({{"why", string_value(text)}, {"list", array_of({text, text})}, {"a key", table_of({{text.empty() ? "x" : text, string_value("y")}})}}), text);
    }
}

TEST(Write, LongListsHaveALineForEachItem) {
    EXPECT_EQ(write(table_of({{"run", table_of({{"schedule", array_of({std::string(60, 'a'), std::string(60, 'b')})}})}})),
              "[run]\nschedule = [\n    \"" + std::string(60, 'a') + "\",\n    \"" + std::string(60, 'b') + "\",\n]\n");
}

TEST(Variant, ItsOwnScheduleReplacesTheOneInRun) {
    const Value document = parsed("[run]\nschedule = [\"run\"]\nmax_stops = 9\n[variants.a]\nschedule = [\"run A until user\"]\n");
    const Value own = with_variant(document, document.member("variants")->value.member("a")->value);
    EXPECT_EQ(write(own), "schedule = [\"run A until user\"]\n\n[run]\nmax_stops = 9\n");
}

}  // namespace
}  // namespace stackrig::scenario
