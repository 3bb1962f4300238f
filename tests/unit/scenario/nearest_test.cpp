// "Did you mean": near enough to help, never a wild guess.
#include "vmm/scenario/nearest.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace stackrig::scenario {
namespace {

TEST(Nearest, DistanceCountsOneForEachEdit) {
    EXPECT_EQ(edit_distance("", "abc"), 3u);
    EXPECT_EQ(edit_distance("spin", "spin"), 0u);
    EXPECT_EQ(edit_distance("SPIN", "spin"), 0u);
    EXPECT_EQ(edit_distance("spni", "spin"), 1u);  // a swap is one edit
    EXPECT_EQ(edit_distance("sitting", "kitten"), 3u);
    EXPECT_EQ(edit_distance("ca", "abc"), 3u);
}

TEST(Nearest, FindsTypingErrors) {
    const std::vector<std::string> names = {"spin", "step", "touch", "do_syscall_64", "do_int3_user"};
    EXPECT_EQ(nearest("spni", names), "spin");
    EXPECT_EQ(nearest("do_syscal_46", names), "do_syscall_64");
    EXPECT_EQ(nearest("tuoch", names), "touch");
}

TEST(Nearest, FindsWhatWasCutShort) {
    const std::vector<std::string> names = {"de", "device", "timer", "do_syscall_64", "do_int3_user"};
    EXPECT_EQ(nearest("dev", names), "device") << "not \"de\", which is nearer by edits";
    EXPECT_EQ(nearest("do_sys", names), "do_syscall_64");
    EXPECT_FALSE(nearest("do_", names)) << "two begin so";
    EXPECT_FALSE(nearest("ti", names)) << "too short to tell";
}

TEST(Nearest, IsSilentWhenNothingIsNear) {
    const std::vector<std::string> names = {"spin", "step", "A"};
    EXPECT_FALSE(nearest("mutex", names));
    EXPECT_FALSE(nearest("B", names));  // one letter for another is no hint
    EXPECT_FALSE(nearest("", names));
    EXPECT_FALSE(nearest(std::string(5000, 'x'), names));
}

TEST(Nearest, SuggestionListsAFewNames) {
    EXPECT_EQ(suggestion("zzz", std::vector<std::string>{"spin", "step"}), "one of: spin, step");
    EXPECT_EQ(suggestion("zzz", std::vector<std::string>{"spin"}), "");
    EXPECT_EQ(suggestion("zzz", std::vector<std::string>(21, "name")), "");
    EXPECT_EQ(suggestion("stpe", std::vector<std::string>{"spin", "step"}), "did you mean \"step\"?");
}

TEST(Nearest, AnIdWithAnotherNumberIsNotNear) {
    const std::vector<std::string> ids = {"INV-1", "INV-19", "LIVE-1"};
    EXPECT_EQ(id_suggestion("INV19", ids, "some"), "did you mean \"INV-19\"?");
    EXPECT_EQ(id_suggestion("inv-19", ids, "some"), "did you mean \"INV-19\"?");
    EXPECT_EQ(id_suggestion("INV-18", ids, "some"), "some");
}

}  // namespace
}  // namespace stackrig::scenario
