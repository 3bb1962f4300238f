// The view: what is kept between stops.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

TEST(FreeList, IsWalkedAgainOnlyWhenItChanged) {
    Rig r;
    r.boot();
    const std::uint64_t first = r.oracle.view().free_generation;
    r.boundary();
    EXPECT_EQ(r.oracle.view().free_generation, first);
    const std::uint32_t pfn = r.g.alloc(abi::FrameUse::user);
    r.boundary();
    EXPECT_GT(r.oracle.view().free_generation, first);
    EXPECT_EQ(r.oracle.view().free_list.size(), 5u);
    EXPECT_EQ(r.oracle.view().use(Pfn(pfn)), abi::FrameUse::user);
}

}  // namespace
}  // namespace stackrig::oracle::test
