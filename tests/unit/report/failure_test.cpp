// The text of a failure, word for word against tests/golden/report, its width, and its colours.
#include "vmm/report/failure.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/unit/report/samples.hpp"

namespace stackrig::report {
namespace {

using explore::ScenarioResult;
using test::refuted;

/// Compares with the golden file; STACKRIG_UPDATE_GOLDEN=1 rewrites it.
void expect_golden(const std::string& name, const std::string& text) {
    const std::string path = std::string(STACKRIG_SOURCE_ROOT) + "/tests/golden/report/" + name;
    if (std::getenv("STACKRIG_UPDATE_GOLDEN") != nullptr) {
        std::ofstream(path) << text;
    }
    std::ifstream file(path);
    std::stringstream expected;
    expected << file.rdbuf();
    EXPECT_EQ(text, expected.str()) << name;
}

TEST(Failure, SaysClaimPlacePictureDecisionsCodeRegistersAndCommand) { expect_golden("violation.txt", result_details(refuted())); }

TEST(Failure, WithoutViolationItSaysWhyAndHow) {
    ScenarioResult r = test::with(explore::Verdict::vacuous, "\"reserve(cpu0) == 0\" was never true");
    r.file = "it's here/a b.toml";
    expect_golden("vacuous.txt", result_details(r));
}

TEST(Failure, FitsInAMail) {
    std::istringstream lines(result_details(refuted()));
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 72u) << line;
        EXPECT_TRUE(line.empty() || line.back() != ' ') << "trailing blank: \"" << line << '"';
    }
}

TEST(Failure, ColoursAreForTerminalsOnlyAndChangeNoWord) {
    const std::string plain = result_details(refuted());
    EXPECT_EQ(plain.find('\x1b'), std::string::npos);
    std::string coloured = result_details(refuted(), Paint(true));
    EXPECT_NE(coloured.find("\x1b[1;31mINV-19\x1b[0m"), std::string::npos);
    for (std::size_t at = coloured.find('\x1b'); at != std::string::npos; at = coloured.find('\x1b')) {
        coloured.erase(at, coloured.find('m', at) - at + 1);
    }
    EXPECT_EQ(coloured, plain);
}

TEST(Failure, RegistersThatDidNotChangeAreNotListed) {
    engine::CpuState before;
    EXPECT_TRUE(changed_registers(before, before).empty());
    engine::CpuState after = before;
    after.gpr[8] = 1;
    after.cr2 = Gva(0x10);
    EXPECT_EQ(changed_registers(before, after), (std::vector<std::string>{"r8 0x0 -> 0x1", "cr2 0x0 -> 0x10"}));
}

}  // namespace
}  // namespace stackrig::report
