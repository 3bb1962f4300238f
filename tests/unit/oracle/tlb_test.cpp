// The litmus set of the TLB model: each is a few operations whose answer the manual gives (SDM 4.10).
#include <gtest/gtest.h>

#include "vmm/oracle/tlb.hpp"

namespace stackrig::oracle {
namespace {

constexpr CpuId c0{0};
constexpr CpuId c1{1};
constexpr CpuSet both = only(c0) | only(c1);
constexpr StackPage p1{SlotId(5), 1};
constexpr StackPage p2{SlotId(5), 2};
constexpr StackPage p3{SlotId(5), 3};
constexpr StackPage other{SlotId(6), 1};
constexpr Pfn f{0x400};
constexpr Pfn g{0x401};

/// Each litmus with global and with non-global pages.
class Tlb : public testing::TestWithParam<bool> {
  protected:
    void map(StackPage page, Pfn frame) { tlb.map(page, frame, GetParam(), both); }
    TlbModel tlb;
};

bool by_demand(const std::optional<Stale>& s, CpuId cpu) { return s && (s->demand & only(cpu)) != 0; }
bool by_arch_only(const std::optional<Stale>& s, CpuId cpu) { return s && (s->demand & only(cpu)) == 0; }

TEST_P(Tlb, MappingWhatWasAbsentNeedsNoFlush) {
    EXPECT_FALSE(tlb.access(c0, p1));  // absent: nothing may be cached
    map(p1, f);
    EXPECT_FALSE(tlb.access(c0, p1));
    EXPECT_FALSE(tlb.access(c1, p1));
}

TEST_P(Tlb, UnmapWithoutFlushThenUse) {
    map(p1, f);
    tlb.access(c0, p1);
    tlb.unmap(p1, both);
    EXPECT_TRUE(by_demand(tlb.access(c0, p1), c0));     // a lost guard
    EXPECT_TRUE(by_arch_only(tlb.access(c1, p1), c1));  // it never used it, but may have filled ahead
    map(p1, g);
    EXPECT_TRUE(by_demand(tlb.access(c0, p1), c0));
    EXPECT_EQ(tlb.access(c0, p1)->frame, f);
}

TEST_P(Tlb, UnmapOfWhatNobodyUsedIsStaleByArchOnly) {
    map(p1, f);
    tlb.unmap(p1, both);
    EXPECT_TRUE(by_arch_only(tlb.access(c0, p1), c0));
}

TEST_P(Tlb, FlushOnTheSameCpuIsEnoughThere) {
    map(p1, f);
    tlb.access(c0, p1);
    tlb.unmap(p1, both);
    tlb.flush_page(c0, p1);
    map(p1, g);
    EXPECT_FALSE(tlb.access(c0, p1));
    EXPECT_TRUE(by_arch_only(tlb.access(c1, p1), c1));
    tlb.flush_page(c1, p1);
    EXPECT_FALSE(tlb.access(c1, p1));
    EXPECT_TRUE(tlb.all_stale().empty());
}

TEST_P(Tlb, FlushBeforeUnmapIsNone) {
    map(p1, f);
    tlb.access(c0, p1);
    tlb.flush_page(c0, p1);
    EXPECT_FALSE(tlb.access(c0, p1));  // filled again
    tlb.unmap(p1, both);
    EXPECT_TRUE(by_demand(tlb.access(c0, p1), c0));
}

TEST_P(Tlb, FlushBeforeUnmapWithoutUseInBetweenIsStaleByArchOnly) {
    map(p1, f);
    tlb.access(c0, p1);
    tlb.flush_page(c0, p1);
    tlb.unmap(p1, both);
    EXPECT_TRUE(by_arch_only(tlb.access(c0, p1), c0));
}

TEST_P(Tlb, TwoOfThreePagesFlushed) {
    for (const StackPage page : {p1, p2, p3}) {
        map(page, Pfn(f.value() + page.page));
        tlb.access(c0, page);
        tlb.unmap(page, both);
    }
    tlb.flush_page(c0, p1);
    tlb.flush_page(c0, p3);
    EXPECT_FALSE(tlb.access(c0, p1));
    EXPECT_TRUE(by_demand(tlb.access(c0, p2), c0));
    EXPECT_FALSE(tlb.access(c0, p3));
}

TEST_P(Tlb, Cr3DropsAllButGlobalPages) {
    map(p1, f);
    tlb.access(c0, p1);
    tlb.unmap(p1, both);
    tlb.flush_non_global(c0);
    EXPECT_EQ(tlb.access(c0, p1).has_value(), GetParam());
    tlb.flush_all(c0);
    EXPECT_FALSE(tlb.access(c0, p1));
}

TEST_P(Tlb, Cr3DropsACurrentTranslationTooUnlessGlobal) {
    map(p1, f);
    tlb.access(c0, p1);
    tlb.flush_non_global(c0);
    tlb.unmap(p1, both);
    EXPECT_EQ(by_demand(tlb.access(c0, p1), c0), GetParam());
}

TEST_P(Tlb, InvlpgOfAnotherPageDoesNotHelp) {
    map(p1, f);
    tlb.access(c0, p1);
    tlb.unmap(p1, both);
    tlb.flush_page(c0, p2);
    tlb.flush_page(c0, other);
    EXPECT_TRUE(by_demand(tlb.access(c0, p1), c0));
}

TEST_P(Tlb, FreeBeforeTheOtherCpuHasAnswered) {
    map(p1, f);
    tlb.access(c1, p1);
    tlb.unmap(p1, both);
    tlb.flush_page(c0, p1);
    ASSERT_TRUE(tlb.stale_to(f, std::nullopt));  // the IPI is sent, not awaited
    EXPECT_TRUE(by_demand(tlb.stale_to(f, std::nullopt), c1));
    tlb.flush_all(c1);
    EXPECT_FALSE(tlb.stale_to(f, std::nullopt));
}

TEST_P(Tlb, AwayAndBackAgain) {
    map(p1, f);
    tlb.access(c0, p1);
    tlb.access(c1, p1);  // migrated in the kernel
    tlb.unmap(p1, both);
    tlb.flush_page(c1, p1);
    map(p1, g);
    EXPECT_FALSE(tlb.access(c1, p1));
    EXPECT_TRUE(by_demand(tlb.access(c0, p1), c0));
}

TEST_P(Tlb, FrameOfAnotherThreadIsReachedThroughTheOldAddress) {
    map(p1, f);
    tlb.access(c0, p1);
    tlb.unmap(p1, both);
    map(other, f);
    const auto stale = tlb.stale_to(f, other);
    ASSERT_TRUE(stale);
    EXPECT_EQ(stale->page, p1);
    EXPECT_FALSE(tlb.stale(c0, other));  // the new address itself is clean
}

TEST_P(Tlb, TheSameFrameAtTheSamePageAgainIsNotStale) {
    map(p1, f);
    tlb.access(c0, p1);
    tlb.unmap(p1, both);
    map(p1, f);
    EXPECT_FALSE(tlb.access(c0, p1));
    EXPECT_FALSE(tlb.stale_to(f, std::nullopt));
    tlb.unmap(p1, 0);
    EXPECT_TRUE(by_demand(tlb.stale(c0, p1), c0));  // what was held from the first time is still held
}

TEST_P(Tlb, ACpuThatDidNotRunCannotHaveFilledAhead) {
    map(p1, f);
    tlb.unmap(p1, only(c0));
    EXPECT_FALSE(tlb.access(c1, p1));
}

TEST_P(Tlb, AnOptimistsCpusCacheOnlyWhatTheyUse) {
    TlbModel demand(Fill::demand);
    demand.map(p1, f, GetParam(), both);
    demand.access(c0, p1);
    demand.unmap(p1, both);
    EXPECT_TRUE(by_demand(demand.stale(c0, p1), c0));
    EXPECT_FALSE(demand.stale(c1, p1)) << "by arch it would be";
}

TEST_P(Tlb, ModelsAreValues) {
    map(p1, f);
    TlbModel saved = tlb;
    EXPECT_EQ(saved, tlb);
    tlb.access(c0, p1);
    EXPECT_NE(saved, tlb);
    saved.access(c0, p1);
    EXPECT_EQ(saved, tlb);
}

INSTANTIATE_TEST_SUITE_P(Pages, Tlb, testing::Bool(),
                         [](const auto& p) { return p.param ? "Global" : "NonGlobal"; });

}  // namespace
}  // namespace stackrig::oracle
