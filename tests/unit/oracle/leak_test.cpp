// INV-25: old contents of pages that change hands.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

TEST(Inv25, OldContentsUnderEachPolicy) {
    for (const abi::Zero zero : {abi::Zero::never, abi::Zero::on_return, abi::Zero::on_map}) {
        Rig r({.policies = {.zero = zero, .cache_cap = abi::stash_capacity}});
        r.boot_to_user();
        const std::uint32_t pfn = r.g.cpu().cache.pfn[0];
        r.g.ram.at<std::uint64_t>(pfn * abi::page_bytes + 4088) = 0x5ec2e7;
        r.enter(r.g.a, Entry::timer);
        EXPECT_EQ(r.fired(Inv::inv25), zero != abi::Zero::never) << r.all();
    }
}

TEST(Inv25, ClearedPagesAreFine) {
    Rig r({.policies = {.zero = abi::Zero::on_return, .cache_cap = abi::stash_capacity}});
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::inv25);
}

}  // namespace
}  // namespace stackrig::oracle::test
