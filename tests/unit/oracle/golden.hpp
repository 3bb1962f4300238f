// Texts against the files of tests/golden/oracle.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace stackrig::oracle::test {

inline std::string golden_path(const std::string& name) { return std::string(STACKRIG_GOLDEN_DIR) + "/" + name; }

/// Compares with the golden file; STACKRIG_UPDATE_GOLDEN=1 rewrites it.
inline void expect_golden(const std::string& name, const std::string& text) {
    if (std::getenv("STACKRIG_UPDATE_GOLDEN") != nullptr) {
        std::ofstream(golden_path(name)) << text;
    }
    std::ifstream file(golden_path(name));
    std::stringstream expected;
    expected << file.rdbuf();
    EXPECT_EQ(text, expected.str()) << name;
}

}  // namespace stackrig::oracle::test
