// Error texts as a user sees them: tests/golden/scenario/NAME.toml -> NAME.txt.
// After an intended change: STACKRIG_UPDATE_GOLDEN=1 build/tests/unit/scenario_tests, then read the diff.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/unit/scenario/fake_guest.hpp"
#include "vmm/scenario/scenario.hpp"

namespace stackrig::scenario {
namespace {

namespace fs = std::filesystem;

const fs::path folder = fs::path(STACKRIG_SOURCE_ROOT) / "tests/golden/scenario";

std::string contents(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> inputs() {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".toml") {
            out.push_back(entry.path().stem().string());
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, ErrorText) {
    const fs::path input = folder / (GetParam() + ".toml");
    const fs::path expected = folder / (GetParam() + ".txt");
    const auto checked = check(contents(input), input.filename().string(), FakeSymbols{});
    ASSERT_FALSE(checked) << "this file is here for its errors";
    const std::string text = render(checked.error());
    if (std::getenv("STACKRIG_UPDATE_GOLDEN") != nullptr) {
        std::ofstream(expected, std::ios::binary) << text;
    }
    EXPECT_EQ(text, contents(expected));
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
    std::string name = info.param;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Scenario, Golden, ::testing::ValuesIn(inputs()), test_name);

TEST(GoldenFolder, HoldsNoOrphans) {
    EXPECT_GE(inputs().size(), 12u);
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".txt") {
            EXPECT_TRUE(fs::exists(fs::path(entry.path()).replace_extension(".toml"))) << entry.path();
        }
    }
}

}  // namespace
}  // namespace stackrig::scenario
