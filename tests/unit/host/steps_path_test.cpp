// Walks of the guest "steps" against its listing: what a host did wrong is said of the instruction behind which it did so.
#include "vmm/host/steps_path.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace stackrig::host {
namespace {

using x86::InstructionClass;

class StepsPathTest : public testing::Test {
  protected:
    void SetUp() override {
        auto elf = x86::Elf::load(STACKRIG_STEPS_ELF);
        ASSERT_TRUE(elf) << elf.error().text;
        elf_ = std::move(*elf);
        auto path = steps_path(elf_);
        ASSERT_TRUE(path) << path.error().text;
        path_ = std::move(*path);
        for (const Gva at : path_.boundaries) {
            walk_.push_back({at, at == *elf_.find("kernel_sti") ? InstructionClass::sti : InstructionClass::other});
        }
    }
    std::size_t index_of(const char* name) {
        const Gva at = *elf_.find(name);
        return static_cast<std::size_t>(std::find(path_.boundaries.begin(), path_.boundaries.end(), at) - path_.boundaries.begin());
    }
    std::vector<std::string> wrong() {
        std::vector<std::string> all;
        for (const KindJudgement& kind : judge_walk(walk_, path_, elf_)) {
            for (const std::string& text : kind.wrong) {
                all.push_back(std::string(x86::describe(kind.kind)) + ": " + text);
            }
        }
        return all;
    }
    x86::Elf elf_;
    StepsPath path_;
    std::vector<WalkedStep> walk_;
};

TEST_F(StepsPathTest, TheListingItselfIsRight) {
    EXPECT_GT(walk_.size(), 150U);
    EXPECT_EQ(wrong(), std::vector<std::string>{});
}

TEST_F(StepsPathTest, ASkippedBoundaryIsSaidOfTheInstructionBeforeItAndTheRestIsJudgedOn) {
    walk_.erase(walk_.begin() + static_cast<std::ptrdiff_t>(index_of("kernel_sti_shadow")));
    EXPECT_EQ(wrong(), std::vector<std::string>{"STI: behind kernel_sti the next boundary is kernel_interruptible instead of kernel_sti_shadow"});
}

TEST_F(StepsPathTest, ABoundaryTooManyIsSaid) {
    const auto at = static_cast<std::ptrdiff_t>(index_of("kernel_interruptible"));
    walk_.insert(walk_.begin() + at, walk_[static_cast<std::size_t>(at)]);
    EXPECT_EQ(wrong().size(), 1U);
}

TEST_F(StepsPathTest, OnlyARepeatMayStayOnceMoreWhereItIs) {
    const auto at = static_cast<std::ptrdiff_t>(index_of("kernel_rep"));
    walk_.insert(walk_.begin() + at, walk_[static_cast<std::size_t>(at)]);
    EXPECT_EQ(wrong(), std::vector<std::string>{});
}

TEST_F(StepsPathTest, AWalkThatEndsEarlyIsSaid) {
    walk_.resize(index_of("kernel_sti_shadow"));
    EXPECT_EQ(wrong(), std::vector<std::string>{"STI: the walk ended behind kernel_sti, before kernel_sti_shadow"});
}

TEST(StepsPath, AnotherProgramIsRefused) {
    const auto other = x86::Elf::load(STACKRIG_GUEST_ELF);
    ASSERT_TRUE(other) << other.error().text;
    const auto path = steps_path(*other);
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().text, STACKRIG_GUEST_ELF " has no symbol entry: it is not the guest of guest/steps; `ninja -C build` builds that");
}

}  // namespace
}  // namespace stackrig::host
