// Every violation that the tests of this program bring about, object and text word for word, in tests/golden/oracle/violations.txt: a
// text that is not in it is one that no test makes the oracle say (tests/cli/check-messages.py).
#include <set>
#include <string>

#include "tests/unit/oracle/golden.hpp"
#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

std::set<std::string>& texts() {
    static std::set<std::string> all;
    return all;
}

std::string listed() {
    std::string out;
    for (const std::string& text : texts()) {
        out += text + "\n";
    }
    return out;
}

class Texts final : public testing::Environment {
  public:
    void TearDown() override {
        const testing::UnitTest& run = *testing::UnitTest::GetInstance();
        // A part of the tests brings about a part of the texts.
        if (run.test_to_run_count() != run.total_test_count() || !run.Passed()) {
            return;
        }
        expect_golden("violations.txt", listed());
        for (const Invariant& row : catalogue()) {
            const auto first = texts().lower_bound(fmt::format("{} (", row.id));
            EXPECT_TRUE(first != texts().end() && first->starts_with(fmt::format("{} (", row.id))) << "no test breaks " << row.id;
        }
    }
};

[[maybe_unused]] const auto* const registered = testing::AddGlobalTestEnvironment(new Texts);

}  // namespace

void keep_texts(std::span<const Violation> violations) {
    for (const Violation& v : violations) {
        texts().insert(fmt::format("{} ({}): {}", v.id, v.object, v.text));
    }
}

}  // namespace stackrig::oracle::test
