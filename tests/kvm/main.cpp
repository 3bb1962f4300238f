// main() of the KVM tests: counts the skips by reason, and tells "all skipped" (77) from "passed".
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

namespace {

class SkipCounter final : public testing::EmptyTestEventListener {
  public:
    void OnTestPartResult(const testing::TestPartResult& result) override {
        if (result.skipped()) {
            ++by_reason_[result.message()];
        }
    }
    void OnTestProgramEnd(const testing::UnitTest& unit_test) override {
        std::printf("SKIPPED %d of %d tests\n", unit_test.skipped_test_count(),
                    unit_test.test_to_run_count());
        for (const auto& [reason, count] : by_reason_) {
            std::printf("  %d because %s\n", count, reason.c_str());
        }
    }

  private:
    std::map<std::string, int> by_reason_;
};

}  // namespace

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    for (int i = 1; i < argc; ++i) {
        if (std::string_view(argv[i]) != "--require-kvm") {
            std::printf("unknown argument %s; there is only --require-kvm, and GoogleTest's own\n", argv[i]);
            return 2;
        }
        ::setenv("STACKRIG_REQUIRE_KVM", "1", 1);
    }
    const testing::UnitTest& unit_test = *testing::UnitTest::GetInstance();
    testing::UnitTest::GetInstance()->listeners().Append(new SkipCounter);
    const int result = RUN_ALL_TESTS();
    constexpr int exit_skipped = 77;
    const bool all_skipped = unit_test.skipped_test_count() == unit_test.test_to_run_count();
    return result == 0 && all_skipped ? exit_skipped : result;
}
