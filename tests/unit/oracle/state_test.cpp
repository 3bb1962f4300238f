// The oracle's state goes back and forth with the guest's.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

/// A guest, its registers and what the oracle knows of it.
struct Saved {
    explicit Saved(const Rig& r) : guest(r.g), cpus(r.cpus), state(r.oracle.save()) {}
    void restore(Rig& r) const {
        r.g = guest;
        r.cpus = cpus;
        r.oracle.restore(state);
        r.violations.clear();
    }
    FakeGuest guest;
    std::vector<engine::CpuState> cpus;
    Oracle::State state;
};

TEST(OracleState, AViolationOfOneFutureIsReportedInTheNextOneToo) {
    Rig r;
    r.boot_to_user();
    const Saved before(r);
    for (int future = 0; future < 2; ++future) {
        before.restore(r);
        r.enter(r.g.a, Entry::syscall64);
        EXPECT_CLEAN(r);
        r.g.page(r.g.a, 3) = r.g.page(r.g.a, 2);
        r.boundary();
        EXPECT_FIRED(r, Inv::inv4);
    }
    before.restore(r);
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    EXPECT_CLEAN(r);
}

TEST(OracleState, TellsWhetherTheFutureIsTheSame) {
    Rig r;
    r.boot_to_user();
    const Saved before(r);
    EXPECT_TRUE(r.oracle.same_future(before.state));
    r.enter(r.g.a, Entry::timer);
    EXPECT_FALSE(r.oracle.same_future(before.state)) << "A is in the kernel";
    EXPECT_FALSE(r.oracle.save().same_future(before.state));
    r.exit(r.g.a);
    r.leave(r.g.a);
    EXPECT_FALSE(r.oracle.save().history.same_count(before.state.history, Mark::enter_begin)) << "it was raised";
    EXPECT_TRUE(r.oracle.save().history.same_count(before.state.history, Mark::remote_access)) << "it was not";
    before.restore(r);
    EXPECT_TRUE(r.oracle.same_future(before.state));
    EXPECT_TRUE(r.oracle.save().history.same_count(before.state.history, Mark::enter_begin));
}

TEST(OracleState, TheFreeListIsTheRestoredOneEvenAtASingleInstruction) {
    Rig r;
    r.boot();
    const Saved before(r);
    const std::uint64_t list = r.oracle.view().free_fingerprint;
    const std::uint32_t pfn = r.g.alloc(abi::FrameUse::user);
    r.mark(Mark::idle, 0);
    EXPECT_EQ(r.oracle.view().use(Pfn(pfn)), abi::FrameUse::user);
    before.restore(r);
    r.boundary();
    EXPECT_EQ(r.oracle.view().use(Pfn(pfn)), abi::FrameUse::free);
    EXPECT_EQ(r.oracle.view().free_fingerprint, list);
    EXPECT_CLEAN(r);
}

TEST(OracleState, WhereFramesCameFromIsRemembered) {
    Rig r({.cache = 0, .free = 0});
    r.boot_to_user();
    const Saved before(r);
    r.enter(r.g.a, Entry::timer);  // on the reserve
    EXPECT_EQ(r.oracle.facts().loan(ThreadId(r.g.a)), 3u);
    const Saved lent(r);
    before.restore(r);
    EXPECT_FALSE(r.oracle.same_future(lent.state));
    lent.restore(r);
    r.boundary();
    EXPECT_EQ(r.oracle.facts().loan(ThreadId(r.g.a)), 3u);
}

}  // namespace
}  // namespace stackrig::oracle::test
