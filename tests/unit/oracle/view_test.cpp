// The view: what is kept between stops.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

TEST(FreeList, IsWalkedAgainOnlyWhenItChanged) {
    Rig r;
    r.boot();
    const std::uint64_t first = r.oracle.view().free_fingerprint;
    r.mark(Mark::idle, 0);
    EXPECT_EQ(r.oracle.view().free_fingerprint, first);
    const std::uint32_t pfn = r.g.alloc(abi::FrameUse::user);
    r.boundary();
    EXPECT_NE(r.oracle.view().free_fingerprint, first);
    EXPECT_EQ(r.oracle.view().free_list.size(), 5u);
    EXPECT_EQ(r.oracle.view().use(Pfn(pfn)), abi::FrameUse::user);
}

TEST(View, SlotsBehindTheSecondPageTable) {
    Rig r({.more_users = 64});
    r.boot();
    EXPECT_CLEAN(r);
    const std::uint32_t last = r.g.state().thread_count - 1;
    ASSERT_GT(last, 64u);
    EXPECT_EQ(r.oracle.facts().mapped(ThreadId(last)), 1u);
    r.g.page(last, 0) &= ~1ull;
    r.boundary();
    EXPECT_FIRED(r, Inv::inv3);
}

}  // namespace
}  // namespace stackrig::oracle::test
