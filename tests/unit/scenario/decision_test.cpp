// Decisions: sentences that name one boundary or one allocation, and read back the same.
#include <gtest/gtest.h>

#include "tests/unit/scenario/fake_guest.hpp"
#include "vmm/scenario/sentence.hpp"

namespace stackrig::scenario {
namespace {

class DecisionTest : public ::testing::Test {
  protected:
    std::optional<engine::Decision> read(const std::string& text) {
        const SourceText source("decision", text);
        Reporter reporter(source);
        auto decision = read_decision(plain_piece(text), guest.names, reporter);
        const Diagnostics problems = reporter.take();
        EXPECT_EQ(decision.has_value(), problems.empty());
        errors = problems.empty() ? "" : render(problems);
        return decision;
    }
    FakeGuest guest;
    std::string errors;
};

TEST_F(DecisionTest, AnEventAtOneArrivalAtOneInstruction) {
    const auto decision = read("inject irq(timer) with need_resched at A do_syscall_64+0x10 #3");
    ASSERT_TRUE(decision) << errors;
    const auto& inject = std::get<engine::InjectAt>(decision->what);
    EXPECT_EQ(inject.event.kind, engine::EventKind::irq);
    EXPECT_TRUE(inject.event.need_resched);
    EXPECT_EQ(inject.at.thread, engine::ThreadIndex{0});
    EXPECT_EQ(inject.at.address, *guest.symbols.find("do_syscall_64") + 0x10);
    EXPECT_EQ(inject.at.occurrence, 3u);
}

TEST_F(DecisionTest, WithoutAThreadEveryArrivalCountsAndUserCodeHasPlacesToo) {
    const auto decision = read("inject nmi at 0x400185");
    ASSERT_TRUE(decision) << errors;
    const auto& inject = std::get<engine::InjectAt>(decision->what);
    EXPECT_EQ(inject.at.thread, std::nullopt);
    EXPECT_EQ(inject.at.address, Gva(0x400185));
    EXPECT_EQ(inject.at.occurrence, 1u);
}

TEST_F(DecisionTest, OneAllocationOrAllFromOneOn) {
    const auto one = read("fail allocation #2 of B");
    ASSERT_TRUE(one) << errors;
    EXPECT_EQ(std::get<engine::FailAllocation>(one->what).thread, engine::ThreadIndex{1});
    EXPECT_EQ(std::get<engine::FailAllocation>(one->what).nth, 2u);
    EXPECT_FALSE(std::get<engine::FailAllocation>(one->what).and_all_later);
    const auto all = read("fail allocations from #1");
    ASSERT_TRUE(all) << errors;
    EXPECT_EQ(std::get<engine::FailAllocation>(all->what).thread, std::nullopt);
    EXPECT_TRUE(std::get<engine::FailAllocation>(all->what).and_all_later);
}

TEST_F(DecisionTest, CanonicalTextReadsBackTheSame) {
    for (const char* text : {"inject nmi at A do_syscall_64 #12", "inject irq(device) at exc_int3+0x1", "inject mc at B 0x400010 #2",
                             "inject irq(timer) with need_resched at K mutex_lock", "fail allocation #7 of K", "fail allocations from #1"}) {
        const auto decision = read(text);
        ASSERT_TRUE(decision) << errors;
        EXPECT_EQ(render(*decision, guest.names), text);
    }
}

TEST_F(DecisionTest, WhatIsNoDecisionIsRefusedWithTheWord) {
    EXPECT_FALSE(read("inject nmi on cpu0"));
    EXPECT_NE(errors.find("expected \"at\" and a boundary"), std::string::npos) << errors;
    EXPECT_FALSE(read("inject nmi at A user"));
    EXPECT_NE(errors.find("a decision names one instruction"), std::string::npos) << errors;
    EXPECT_FALSE(read("inject syscall lock 0 at do_syscall_64"));
    EXPECT_NE(errors.find("made by a thread's own instruction"), std::string::npos) << errors;
    EXPECT_FALSE(read("inject nmi with need_resched at do_syscall_64"));
    EXPECT_FALSE(read("fail allocation #0 of A"));
    EXPECT_FALSE(read("fail allocation #1 of Z"));
    EXPECT_FALSE(read("run until user"));
}

}  // namespace
}  // namespace stackrig::scenario
