// LIVE-1 to LIVE-7: waiting in vain, and what is forgotten.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

constexpr auto quiet = engine::Ending::quiet;
const Setup nothing_left{.cache = 0, .free = 0};
const Setup two_cpus{.cpus = 2, .cache = 0, .free = 0};

void add_pages(Rig& r, std::uint32_t cpu, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        const std::uint32_t pfn = 0x500 + cpu * 8 + i;
        r.g.frame(pfn).use = abi::FrameUse::stack;
        FakeGuest::push(r.g.cpu(cpu).cache, pfn);
    }
}

TEST(Live1, AsleepWithThreePagesInTheCache) {
    for (const unsigned pages : {2u, 3u}) {
        Rig r(nothing_left);
        r.boot_to_user();
        r.wait_for_pages(r.g.a);
        add_pages(r, 0, pages);
        r.end(quiet);
        EXPECT_EQ(r.fired(Inv::live1), pages == 3) << r.all();
        EXPECT_EXAMINED(r, Inv::live1);
    }
}

TEST(Live1, OnlyAtAQuietEnd) {
    Rig r(nothing_left);
    r.boot_to_user();
    r.wait_for_pages(r.g.a);
    add_pages(r, 0, 3);
    r.end(engine::Ending::other);
    EXPECT_CLEAN(r);
}

TEST(Live1, WhatIsGrantedCountsToo) {
    Rig r(nothing_left);
    r.boot_to_user();
    r.wait_for_pages(r.g.a);
    abi::Thread& a = r.g.thread(r.g.a);
    for (std::uint32_t i = 0; i < 3; ++i) {
        r.g.frame(0x500 + i).use = abi::FrameUse::stack;
        a.grant[i] = 0x500 + i;
    }
    a.granted = 3;
    r.boundary();
    EXPECT_CLEAN(r);
    r.end(quiet);
    EXPECT_ONLY(r, Inv::live1);
}

TEST(Live1, FreePagesDoNotCountWhileTheAllocatorRefuses) {
    for (const bool denied : {false, true}) {
        Rig r({.cache = 0, .free = 3});
        r.boot_to_user();
        r.alloc_denied = true;
        r.wait_for_pages(r.g.a);
        if (!denied) {
            r.stop(engine::ChoiceStop{abi::Choice::alloc, {1, r.g.k}, 1});
        }
        r.end(quiet);
        EXPECT_EQ(r.fired(Inv::live1), !denied) << r.all();
    }
}

TEST(Live2, WokenInVainAgainAndAgain) {
    Rig r(nothing_left);
    r.boot_to_user();
    r.wait_for_pages(r.g.a);
    for (int vain = 1; vain <= 3; ++vain) {
        EXPECT_CLEAN(r);
        r.g.thread(r.g.a).state = abi::ThreadState::runnable;
        r.switch_to(idle0, r.g.a);
        r.sleep(r.g.a, abi::WaitKind::pages);
    }
    EXPECT_ONLY(r, Inv::live2);
}

TEST(Live2, LaterComersAreServedFirst) {
    for (const bool later : {true, false}) {
        Rig r({.cache = 0, .free = 0});
        r.boot();
        for (int i = 0; i < 3; ++i) {
            if (i == 0 || !later) {
                r.mark(Mark::wait_begin, later ? r.g.a : r.g.b, 1);
            }
            r.mark(Mark::wait_begin, later ? r.g.b : r.g.a, 1);
            r.g.thread(r.g.b).source = StackSource::wait;
            r.mark(Mark::wait_done, r.g.b, 1);
        }
        EXPECT_EQ(r.fired(Inv::live2), later) << r.all();
    }
}

TEST(Live2, MoreImportantOnesMayOvertakeWhereThatIsThePolicy) {
    for (const auto wait : {abi::Wait::priority, abi::Wait::fifo}) {
        test::Setup setup{.cache = 0, .free = 0};
        setup.policies.wait = wait;
        setup.threads = {{.name = "A"}, {.name = "B", .priority = 1}};
        Rig r(setup);
        r.boot();
        r.mark(Mark::wait_begin, r.g.a, 1);
        for (int i = 0; i < 3; ++i) {
            r.mark(Mark::wait_begin, r.g.b, 1);
            r.g.thread(r.g.b).source = StackSource::wait;
            r.mark(Mark::wait_done, r.g.b, 1);
        }
        EXPECT_EQ(r.fired(Inv::live2), wait == abi::Wait::fifo) << r.all();
    }
}

TEST(Live2, TakesAPagePastAThreadThatSleepsForIt) {
    struct Case {
        abi::Wait wait;
        bool woken_first;  ///< A has left the queue when ENTER begins
        bool fires;
    };
    for (const Case c : {Case{abi::Wait::fifo, false, true}, Case{abi::Wait::fifo, true, false}, Case{abi::Wait::event, false, false}}) {
        test::Setup setup{.cache = 0, .free = 6};
        setup.policies.wait = c.wait;
        Rig r(setup);
        r.boot_to_user();
        r.alloc_denied = true;
        r.wait_for_pages(r.g.a);
        r.alloc_denied = false;
        r.first_run(r.g.b);
        if (c.woken_first) {
            r.g.thread(r.g.a).state = abi::ThreadState::runnable;
        }
        r.g.cpu().cache = {};
        r.enter(r.g.b, Entry::syscall64);
        EXPECT_EQ(r.fired(Inv::live2), c.fires) << r.all();
    }
}

TEST(Live3, PagesInTheCacheOfAnotherCpu) {
    for (const unsigned pages : {2u, 3u}) {
        Rig r(two_cpus);
        r.boot_to_user();
        r.wait_for_pages(r.g.a);
        add_pages(r, 1, pages);
        r.end(quiet);
        EXPECT_EQ(r.fired(Inv::live3), pages == 3) << r.all();
        EXPECT_FALSE(r.fired(Inv::live1)) << r.all();
    }
}

TEST(Live3, AnOfflineCpusCacheIsNobodys) {
    Rig r(two_cpus);
    r.g.cpu(1).online = 0;
    r.boot_to_user();
    r.wait_for_pages(r.g.a);
    add_pages(r, 1, 3);
    r.end(quiet);
    EXPECT_FALSE(r.fired(Inv::live3)) << r.all();
}

TEST(Live4, SpinningInsideEnter) {
    for (const bool inside : {true, false}) {
        Rig r({}, "LIVE-4");
        r.boot_to_user();
        r.in_kernel(r.g.a);
        r.mark(Mark::enter_begin, r.g.a,
               static_cast<std::uint64_t>(inside ? Entry::timer : Entry::syscall64));
        r.mark(Mark::relax, 0, static_cast<std::uint64_t>(abi::Spin::lock), 0x1000);
        EXPECT_EQ(r.fired(Inv::live4), inside) << r.all();
    }
}

TEST(Live4, EnterThatDoesNotEnd) {
    Rig r({}, "LIVE-4");
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.a, static_cast<std::uint64_t>(Entry::timer));
    for (int i = 0; i < 4096; ++i) {
        r.boundary();
    }
    EXPECT_CLEAN(r);
    r.boundary();
    EXPECT_ONLY(r, Inv::live4);
}

TEST(Live5, KilledAndStillWaiting) {
    for (const std::uint32_t signal : {0u, 9u, 11u}) {
        Rig r(nothing_left);
        r.boot_to_user();
        r.wait_for_pages(r.g.a);
        r.g.thread(r.g.a).signal = signal;
        r.end(quiet);
        EXPECT_EQ(r.fired(Inv::live5), signal == 9) << r.all();
    }
}

TEST(Live6, NeedReschedInUserMode) {
    for (const std::uint32_t work : {abi::work_need_resched, abi::work_signal}) {
        Rig r;
        r.boot_to_user();
        r.g.thread(r.g.a).work = work;
        r.user_stop();
        EXPECT_EQ(r.fired(Inv::live6), work == abi::work_need_resched) << r.all();
    }
}

TEST(Live7, CpuComesUpWithHalfAReserve) {
    for (const bool full : {true, false}) {
        Rig r({.cpus = 2});
        r.boot();
        if (!full) {
            FakeGuest::push(r.g.cpu(1).cache, FakeGuest::pop(r.g.cpu(1).reserve));
        }
        r.mark(Mark::cpu_online, 1, 0, 0, 1);
        EXPECT_EQ(r.fired(Inv::live7), !full) << r.all();
    }
}

TEST(Live7, CpuGoesDownWithPages) {
    for (const Mark mark : {Mark::cpu_offline, Mark::cpu_up_failed}) {
        Rig r({.cpus = 2, .cache = 0, .reserve = 0});
        r.boot();
        r.mark(mark, 1, 0, 0, 1);
        EXPECT_CLEAN(r);
        add_pages(r, 1, 1);
        r.mark(mark, 1, 0, 0, 1);
        EXPECT_ONLY(r, Inv::live7);
    }
}

}  // namespace
}  // namespace stackrig::oracle::test
