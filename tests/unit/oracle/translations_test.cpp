// INV-22, INV-23, INV-24: how the TLB model is fed, and what its answers mean.
#include <gtest/gtest.h>
#include <algorithm>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

constexpr auto page_flush = static_cast<std::uint64_t>(abi::FlushKind::page);
constexpr auto cr3_flush = static_cast<std::uint64_t>(abi::FlushKind::cr3);
constexpr auto all_flush = static_cast<std::uint64_t>(abi::FlushKind::all);

/// A's stay in the kernel, `depth` bytes deep, on cpu0.
void stay(Rig& r, std::uint64_t depth) {
    r.enter(r.g.a, Entry::timer);
    r.in_kernel(r.g.a, false, depth);
    r.boundary();
    r.exit(r.g.a);
    r.leave(r.g.a);
}

void flush_stack(Rig& r, unsigned pages, std::uint32_t cpu = 0) {
    for (unsigned i = 1; i <= pages; ++i) {
        r.mark(Mark::flush, page_flush, abi::stack_page(r.g.thread(r.g.a).slot, i), 0, cpu);
    }
}

std::string first_text(const Rig& r) { return r.violations.empty() ? "" : r.violations[0].text; }

TEST(Inv24, SecondStayThroughTheTranslationsOfTheFirst) {
    Rig r;
    r.boot_to_user();
    stay(r, 9000);
    EXPECT_CLEAN(r);
    stay(r, 9000);
    EXPECT_ONLY(r, Inv::inv24);
    EXPECT_NE(first_text(r).find("policy demand"), std::string::npos) << r.all();
}

TEST(Inv24, FlushInBetweenIsEnoughOnOneCpu) {
    for (const unsigned pages : {3u, 2u}) {
        Rig r;
        r.boot_to_user();
        stay(r, 13000);
        flush_stack(r, pages);
        stay(r, 13000);
        EXPECT_EQ(r.fired(Inv::inv24), pages < 3) << r.all();
        EXPECT_EXAMINED(r, Inv::inv24);
    }
}

TEST(Inv24, WhereEveryInstructionIsSeenTheGuestsWordForAFlushIsNotTaken) {
    for (const bool executed : {false, true}) {
        Rig r;
        r.boot_to_user();
        r.every_instruction = true;
        stay(r, 13000);
        for (unsigned i = 1; i <= 3; ++i) {
            const Gva page(abi::stack_page(r.g.thread(r.g.a).slot, i));
            if (executed) {
                r.invalidated = engine::Invalidation{abi::FlushKind::page, page};
            }
            r.mark(Mark::flush, page_flush, page.value());
        }
        stay(r, 13000);
        EXPECT_EQ(r.fired(Inv::inv24), !executed) << r.all();
        EXPECT_EXAMINED(r, Inv::inv24);
    }
}

TEST(Inv24, WhatWasExecutedCountsWithoutTheGuestsWord) {
    for (const abi::FlushKind kind : {abi::FlushKind::cr3, abi::FlushKind::all}) {
        Rig r;
        r.boot_to_user();
        r.every_instruction = true;
        stay(r, 13000);
        r.invalidated = engine::Invalidation{kind, {}};
        r.boundary();
        stay(r, 13000);
        EXPECT_CLEAN(r);
    }
}

TEST(Inv24, AShallowSecondStayUsesNothingStale) {
    Rig r;
    r.boot_to_user();
    stay(r, 9000);
    stay(r, 400);
    EXPECT_CLEAN(r);
}

TEST(Inv24, AfterAShallowFirstStayItTakesAFillAhead) {
    Rig r;
    r.boot_to_user();
    stay(r, 400);
    stay(r, 9000);
    EXPECT_ONLY(r, Inv::inv24);
    EXPECT_NE(first_text(r).find("policy arch"), std::string::npos) << r.all();
}

TEST(Inv24, DepthBetweenTwoStopsIsKnownFromTheGuestsRecord) {
    Rig r;
    r.boot_to_user();
    stay(r, 9000);
    r.enter(r.g.a, Entry::timer);
    r.g.thread(r.g.a).lowest_rsp = abi::stack_top(r.g.thread(r.g.a).slot) - 400;
    r.boundary();
    EXPECT_CLEAN(r);
    r.g.thread(r.g.a).lowest_rsp -= 6000;
    r.boundary();
    EXPECT_ONLY(r, Inv::inv24);
}

TEST(Inv24, TheOtherCpuHasNotFlushed) {
    for (const bool flushed : {false, true}) {
        Rig r({.cpus = 2, .global_stacks = true});
        r.boot_to_user();
        stay(r, 9000);
        flush_stack(r, 3);
        r.enter(r.g.a, Entry::timer);
        if (flushed) {
            r.mark(Mark::flush, all_flush, 0, 0, 1);
        }
        r.in_kernel(idle0, false, 64);
        r.g.cpu().current = FakeGuest::thread_pointer(idle0);
        r.in_kernel(r.g.a, false, 9000, 1);  // it goes on over there
        r.g.cpu(1).current = FakeGuest::thread_pointer(r.g.a);
        r.boundary(1);
        EXPECT_EQ(r.fired(Inv::inv24), !flushed) << r.all();
    }
}

TEST(Inv24, Cr3DropsNonGlobalPages) {
    for (const bool global : {false, true}) {
        Rig r({.global_stacks = global});
        r.boot_to_user();
        stay(r, 13000);
        r.mark(Mark::flush, cr3_flush, 0, 0);
        stay(r, 13000);
        EXPECT_EQ(r.fired(Inv::inv24), global) << r.all();
    }
}

TEST(Inv24, ANewRootIsAFlushThatNeedsNoMark) {
    for (const bool global : {false, true}) {
        Rig r({.global_stacks = global});
        r.boot_to_user();
        stay(r, 13000);
        r.cpus[0].cr3 = Gpa(r.g.state().kernel_cr3);
        r.in_kernel(idle0);
        r.boundary();
        r.violations.clear();
        stay(r, 13000);
        EXPECT_EQ(r.fired(Inv::inv24), global) << r.all();
    }
}

TEST(Inv24, RemoteReaderAfterUnmapping) {
    for (const bool flushed : {false, true}) {
        Rig r({.cpus = 2});
        r.boot_to_user();
        const std::uint64_t p2 = abi::stack_page(r.g.thread(r.g.a).slot, 2) + 64;
        r.enter(r.g.a, Entry::timer);
        r.mark(Mark::remote_access, r.g.a, p2, 0, 1);
        EXPECT_CLEAN(r);
        r.exit(r.g.a);
        r.leave(r.g.a);
        if (flushed) {
            r.mark(Mark::flush, page_flush, p2, 0, 1);
        }
        r.mark(Mark::remote_access, r.g.a, p2, 0, 1);
        EXPECT_EQ(r.fired(Inv::inv24), !flushed) << r.all();
    }
}

TEST(Inv24, AFaultDropsWhatCausedIt) {
    Rig r({.cpus = 2});
    r.boot_to_user();
    const std::uint64_t p2 = abi::stack_page(r.g.thread(r.g.a).slot, 2) + 64;
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::remote_access, r.g.a, p2, 0, 1);
    r.exit(r.g.a);
    r.leave(r.g.a);
    r.cpus[1].cr2 = Gva(p2);
    r.mark(Mark::handler_begin, static_cast<std::uint64_t>(Entry::page_fault), 0, 0, 1);
    r.violations.clear();  // the fault on a stack page has its own invariant
    r.mark(Mark::remote_access, r.g.a, p2, 0, 1);
    EXPECT_CLEAN(r);
}

TEST(Inv24, ACpuThatComesFromResetHoldsNothing) {
    Rig r({.cpus = 2});
    r.boot_to_user();
    const std::uint64_t p2 = abi::stack_page(r.g.thread(r.g.a).slot, 2) + 64;
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::remote_access, r.g.a, p2, 0, 1);
    r.exit(r.g.a);
    r.leave(r.g.a);
    r.mark(Mark::cpu_online, 1, 0, 0, 1);
    r.mark(Mark::remote_access, r.g.a, p2, 0, 1);
    EXPECT_CLEAN(r);
}

TEST(Inv22, StaleWhereAPageIsMapped) {
    for (const bool flushed : {false, true}) {
        Rig r({}, "INV-22");
        r.boot_to_user();
        stay(r, 400);
        if (flushed) {
            flush_stack(r, 3);
        }
        r.enter(r.g.a, Entry::timer);
        EXPECT_EQ(r.fired(Inv::inv22), !flushed) << r.all();
    }
}

TEST(Inv22, IsANoteWhereNobodyAsksForIt) {
    Rig r;
    r.boot_to_user();
    stay(r, 400);
    stay(r, 400);
    EXPECT_CLEAN(r);
    const auto notes = r.oracle.notes();
    EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const Violation& v) { return v.id == "INV-22"; }));
}

TEST(Inv23, FrameFreedWhileACpuMayHoldIt) {
    for (const bool flushed : {false, true}) {
        Rig r({}, "INV-23");
        r.boot_to_user();
        stay(r, 9000);
        if (flushed) {
            flush_stack(r, 3);
        }
        const std::uint32_t pfn = FakeGuest::pop(r.g.cpu().cache);
        r.g.free(pfn);
        r.user_stop();
        EXPECT_EQ(r.fired(Inv::inv23), !flushed) << r.all();
    }
}

TEST(Inv23, FrameMappedForAnotherThread) {
    for (const bool flushed : {false, true}) {
        Rig r({.global_stacks = true}, "INV-23");
        r.boot_to_user();
        r.in_kernel(r.g.a);
        r.first_run(r.g.b, r.g.a);
        r.enter(r.g.b, Entry::timer);
        r.exit(r.g.b);
        if (flushed) {
            r.mark(Mark::flush, all_flush, 0, 0);
        }
        r.switch_to(r.g.b, r.g.a);
        r.leave(r.g.a);
        r.enter(r.g.a, Entry::timer);
        EXPECT_EQ(r.fired(Inv::inv23), !flushed) << r.all();
    }
}

TEST(Translations, GoBackWithTheRestOfTheState) {
    Rig r;
    r.boot_to_user();
    const Oracle::State before = r.oracle.save();
    stay(r, 9000);
    EXPECT_FALSE(r.oracle.same_future(before));
    const Oracle::State after = r.oracle.save();
    r.oracle.restore(before);
    EXPECT_TRUE(r.oracle.same_future(before));
    r.oracle.restore(after);
    stay(r, 9000);
    EXPECT_FIRED(r, Inv::inv24);
}

}  // namespace
}  // namespace stackrig::oracle::test
