// Stops as data: the context a CPU is in, and each thread's pages, against the fake guest.
#include "vmm/oracle/moment.hpp"

#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

std::string symbol(Gva) { return "f+0x1"; }
Moment now(const Rig& r) { return moment_of(r.oracle.view(), r.oracle.history(), r.oracle.translations().model(), symbol); }

TEST(MomentTest, PagesOwnersAndStacksFollowTheRun) {
    Rig r({.cache = 0, .free = 0}, "INV-19");
    r.boot_to_user();
    Moment m = now(r);
    ASSERT_EQ(m.cpus.size(), 1u);
    EXPECT_EQ(m.cpus[0].context, Context::user);
    EXPECT_EQ(m.cpus[0].thread, "A");
    EXPECT_EQ(m.cpus[0].reserve.size(), 3u);
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::loop_begin, r.g.a, 1);
    m = now(r);
    EXPECT_EQ(m.kind, "mark");
    EXPECT_EQ(m.cause, "mark loop.begin");
    EXPECT_EQ(m.cpus[0].context, Context::irq) << "an interrupt's exit work is still the interrupt's";
    EXPECT_TRUE(m.cpus[0].reserve.empty());
    const MomentThread& a = m.threads.at(r.g.a);
    EXPECT_EQ(a.name, "A");
    EXPECT_EQ(a.cpu, 0);
    EXPECT_TRUE(a.on_own_stack);
    EXPECT_EQ(a.pages[0].owner, "own");
    EXPECT_EQ(a.pages[3].owner, "RESERVE of cpu0");
    EXPECT_EQ(m.threads.at(r.g.b).pages[1].pte & 1, 0u);
    EXPECT_EQ(m.threads.at(r.g.b).pages[1].owner, "");
    EXPECT_EQ(m.threads.at(r.g.b).cpu, -1);
}

TEST(MomentTest, WhatATlbMayStillHoldIsNamedUntilItIsFlushed) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.in_kernel(r.g.a, false, 9000);
    r.boundary();
    EXPECT_TRUE(now(r).cpus[0].stale.empty()) << "mapped and used: right, not stale";
    r.exit(r.g.a);
    const std::vector<std::string> held = now(r).cpus[0].stale;
    ASSERT_EQ(held.size(), 3u);
    EXPECT_TRUE(held[0].starts_with("P1 of A -> 0x") && held[0].ends_with(", used before")) << held[0];
    EXPECT_TRUE(held[2].ends_with(", may have been filled ahead")) << held[2];
    r.mark(Mark::flush, static_cast<std::uint64_t>(abi::FlushKind::all), 0, 0);
    EXPECT_TRUE(now(r).cpus[0].stale.empty());
}

TEST(MomentTest, EveryCpuHasAContextOfItsOwn) {
    Rig r({.cpus = 2});
    r.boot_to_user();
    r.on_cpu_stack(abi::CpuStack::nmi, 1);
    r.boundary(1);
    const Moment m = now(r);
    ASSERT_EQ(m.cpus.size(), 2u);
    EXPECT_EQ(m.cpu, 1u);
    EXPECT_EQ(m.cpus[0].context, Context::user);
    EXPECT_EQ(m.cpus[1].context, Context::nmi);
    for (const auto& [stack, context] : {std::pair{abi::CpuStack::mc, Context::machine_check}, {abi::CpuStack::db, Context::debug},
                                         {abi::CpuStack::df, Context::double_fault}, {abi::CpuStack::irq, Context::irq},
                                         {abi::CpuStack::entry, Context::entry}}) {
        r.on_cpu_stack(stack, 1);
        r.boundary(1);
        EXPECT_EQ(now(r).cpus[1].context, context);
    }
}

TEST(MomentTest, ASystemCallIsEntryThenKernelThenExit) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.a, static_cast<std::uint64_t>(Entry::syscall64));
    EXPECT_EQ(now(r).cpus[0].context, Context::entry);
    r.mark(Mark::enter_done, r.g.a, static_cast<std::uint64_t>(Entry::syscall64), 1);
    r.mark(Mark::irq_on, r.g.a, static_cast<std::uint64_t>(Entry::syscall64));
    EXPECT_EQ(now(r).cpus[0].context, Context::kernel);
    r.mark(Mark::exit_begin, r.g.a);
    EXPECT_EQ(now(r).cpus[0].context, Context::exit);
}

}  // namespace
}  // namespace stackrig::oracle::test
