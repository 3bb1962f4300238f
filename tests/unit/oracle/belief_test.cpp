// I11, I16, I17, I18, PTR, INV-26, WARN: a guest that lies, or complains, and one whose structures are
// garbage.
#include <gtest/gtest.h>
#include <cstring>
#include <random>

#include "tests/unit/oracle/rig.hpp"

namespace stackrig::oracle::test {
namespace {

TEST(I17, CurrentPointsToAnotherThread) {
    Rig r;
    r.boot_to_user();
    r.g.cpu().current = FakeGuest::thread_pointer(r.g.b);
    r.user_stop();
    EXPECT_ONLY(r, Inv::i17);
    EXPECT_NE(r.violations[0].text.find("believes it runs B"), std::string::npos);
}

TEST(I17, CurrentMayLagDuringTheSwitch) {
    Rig r;
    r.boot();
    r.mark(Mark::switch_to, idle0, r.g.k);
    r.in_kernel(r.g.k);
    r.mark(Mark::idle, 0);  // any mark between `switch` and `switched`
    EXPECT_CLEAN(r);
}

TEST(I17, FreeCountIsOff) {
    Rig r;
    ++r.g.state().free_count;
    r.boot();
    EXPECT_ONLY(r, Inv::i17);
}

TEST(I17, FreeCountOfACpuThatAnEventHasInterruptedIsNotJudgedByAnother) {
    for (const bool went_on : {false, true}) {
        for (const bool nothing_to_do : {false, true}) {
            Rig r({.cpus = 2});
            r.boot();
            r.stop(engine::LandedStop{.entry = abi::Entry::debug, .from_user = false, .exact = true, .detail = ""}, 1);
            r.handler(abi::Entry::debug, false, nothing_to_do, 1);
            r.stop(engine::ReturnStop{}, 1);
            --r.g.state().free_count;
            if (went_on) {
                r.mark(Mark::idle, 1, 0, 0, 1);
            }
            r.mark(Mark::idle, 0);
            EXPECT_EQ(r.fired(Inv::i17), went_on) << r.all();
        }
    }
}

TEST(I17, LoanThatNeverWas) {
    Rig r;
    r.boot_to_user();
    r.g.thread(r.g.a).loan = 1;
    r.user_stop();
    EXPECT_ONLY(r, Inv::i17);
}

TEST(I17, SourceThatWasNot) {
    Rig r({.cache = 0, .free = 0});
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.a, static_cast<std::uint64_t>(Entry::timer));
    r.stop(engine::ChoiceStop{abi::Choice::alloc, {0, r.g.a}, 1});
    for (unsigned i = 1; i <= 3; ++i) {
        const std::uint32_t pfn = FakeGuest::pop(r.g.cpu().reserve);
        FakeGuest::push(r.g.cpu().hands, pfn);
        r.mark(Mark::enter_take, r.g.a, static_cast<std::uint64_t>(StackSource::reserve), pfn);
    }
    r.map_hands(r.g.a);
    r.g.thread(r.g.a).loan = 3;
    r.g.thread(r.g.a).source = StackSource::cache;
    r.mark(Mark::enter_done, r.g.a, static_cast<std::uint64_t>(Entry::timer), 0);
    EXPECT_ONLY(r, Inv::i17);
}

TEST(I17, SourceThatOutlivesThePages) {
    for (const StackSource left : {StackSource::none, StackSource::cache, StackSource::reserve}) {
        Rig r;
        r.boot_to_user();
        r.enter(r.g.a, Entry::timer);
        r.g.thread(r.g.a).source = left;
        r.exit(r.g.a);
        EXPECT_CLEAN(r);  // exit() sets it right
        r.g.thread(r.g.a).source = left;
        r.mark(Mark::exit_done, r.g.a);
        EXPECT_EQ(r.fired(Inv::i17), left != StackSource::none) << r.all();
    }
}

TEST(I17, SourceOfPagesThatAreStillToCome) {
    for (const StackSource told : {StackSource::none, StackSource::cache}) {
        Rig r({.cache = 0, .free = 0});
        r.boot_to_user();
        r.enter(r.g.a, Entry::syscall64);
        EXPECT_CLEAN(r);
        r.g.thread(r.g.a).source = told;
        r.mark(Mark::enter_done, r.g.a, static_cast<std::uint64_t>(Entry::syscall64), 1);
        EXPECT_EQ(r.fired(Inv::i17), told != StackSource::none) << r.all();
    }
}

TEST(I17, SourceOfPagesThatWereWaitedFor) {
    for (const StackSource told : {StackSource::wait, StackSource::pool, StackSource::cache, StackSource::none}) {
        Rig r({.cache = 0, .free = 0});
        r.boot_to_user();
        r.wait_for_pages(r.g.a);
        EXPECT_CLEAN(r);
        r.g.thread(r.g.a).pend = 0;
        r.g.thread(r.g.a).source = told;
        r.mark(Mark::wait_done, r.g.a, static_cast<std::uint64_t>(Entry::syscall64));
        const bool right = told == StackSource::wait || told == StackSource::pool;
        EXPECT_EQ(r.all().find("its pages came while it waited") == std::string::npos, right) << r.all();
    }
}

TEST(I17, AHookThatIsOverInUserModeAtTheLatest) {
    for (const bool left_active : {false, true}) {
        Rig r;
        r.boot_to_user();
        r.enter(r.g.a, Entry::timer);
        r.g.cpu().hook_active = left_active;
        r.boundary();
        EXPECT_CLEAN(r);
        r.exit(r.g.a);
        r.leave(r.g.a);
        EXPECT_EQ(r.fired(Inv::i17), left_active) << r.all();
    }
}

TEST(I17, ReserveAndMixedAreNotTheSame) {
    for (const StackSource told : {StackSource::reserve, StackSource::mixed}) {
        Rig r({.cache = 0, .free = 0});
        r.boot_to_user();
        r.enter(r.g.a, Entry::timer);
        EXPECT_CLEAN(r);
        r.g.thread(r.g.a).source = told;
        r.mark(Mark::enter_done, r.g.a, static_cast<std::uint64_t>(Entry::timer), 0);
        EXPECT_EQ(r.fired(Inv::i17), told == StackSource::mixed) << r.all();
    }
}

TEST(I17, MarkInAnotherThreadsName) {
    Rig r;
    r.boot_to_user();
    r.in_kernel(r.g.a);
    r.mark(Mark::enter_begin, r.g.b, 1);
    EXPECT_FIRED(r, Inv::i17);
}

TEST(I17, SiteOfAnotherEntry) {
    for (const Entry said : {Entry::syscall64, Entry::none, Entry::page_fault}) {
        Rig r;
        r.boot_to_user();
        r.enter(r.g.a, Entry::syscall64);
        r.irq_on(r.g.a, said);
        EXPECT_EQ(r.fired(Inv::i17), said != Entry::syscall64) << r.all();
    }
}

TEST(I17, UserModeUnderAForeignRoot) {
    Rig r;
    r.boot_to_user();
    r.cpus[0].cr3 = Gpa(r.g.state().kernel_cr3);
    r.user_stop();
    EXPECT_FIRED(r, Inv::i17);
}

TEST(I11, FreeListWithACycle) {
    Rig r;
    const std::uint32_t head = r.g.state().free_head;
    r.g.frame(r.g.frame(head).next).next = head;
    r.boot();
    EXPECT_FIRED(r, Inv::i11);
}

TEST(I11, FreeListThatLeavesRam) {
    Rig r;
    r.g.frame(r.g.state().free_head).next = 0xfffffff0;
    r.boot();
    EXPECT_FIRED(r, Inv::i11);
}

TEST(I11, StashFullerThanItIs) {
    Rig r;
    r.boot();
    r.g.cpu().cache.count = abi::stash_capacity + 1;
    r.boundary();
    EXPECT_FIRED(r, Inv::i11);
}

TEST(I11, StashWithAFrameThatIsNone) {
    for (const std::uint32_t pfn : {0u, 0x800u, 0xffffffffu}) {
        Rig r;
        r.boot();
        FakeGuest::push(r.g.cpu().cache, pfn);
        r.boundary();
        EXPECT_ONLY(r, Inv::i11);
    }
}

TEST(I11, StashFilledToTheBrimIsFine) {
    Rig r({.cache = abi::stash_capacity});
    r.boot();
    EXPECT_CLEAN(r);
    EXPECT_EXAMINED(r, Inv::i11);
}

TEST(I18, StackAreaOfItsOwnUnderAUserRoot) {
    Rig r;
    r.boot_to_user();
    const std::uint64_t root = r.g.thread(r.g.a).cr3;
    r.g.ram.at<std::uint64_t>(root + (abi::stack_area_base >> 39 & 511) * 8) = 0;
    r.user_stop();
    EXPECT_ONLY(r, Inv::i18);
}

TEST(I18, PteBeyondRam) {
    Rig r;
    r.boot();
    r.g.page(r.g.k, 2) = 0x7ffffff000 | 3 | 1ull << 63;
    r.boundary();
    EXPECT_FIRED(r, Inv::i18);
}

TEST(Ptr, BadPointersAreFindings) {
    const std::vector<std::function<void(FakeGuest&)>> sabotage = {
        [](FakeGuest& g) { g.state().threads = 0x1234; },
        [](FakeGuest& g) { g.state().threads = abi::direct_map_base + FakeGuest::ram_bytes; },
        [](FakeGuest& g) { g.state().thread_count = 1u << 30; },
        [](FakeGuest& g) { g.state().slot_count = 1u << 30; },
        [](FakeGuest& g) { g.state().frames = 0; },
        [](FakeGuest& g) { g.state().frame_count = 1u << 30; },
        [](FakeGuest& g) { g.state().percpu[0] = abi::kernel_map_base + FakeGuest::percpu_pa + 8; },
        [](FakeGuest& g) { g.cpu().current = FakeGuest::thread_pointer(1) + 4; },
        [](FakeGuest& g) { g.cpu().current = FakeGuest::thread_pointer(200); },
        [](FakeGuest& g) { g.thread(g.b).slot = 0xffff; },
    };
    for (const auto& break_it : sabotage) {
        Rig r;
        r.boot();
        break_it(r.g);
        r.boundary();
        EXPECT_FIRED(r, Inv::ptr) << "sabotage " << &break_it - sabotage.data();
    }
}

TEST(Ptr, LostMagic) {
    Rig r;
    r.boot();
    r.g.state().magic = 0;
    r.boundary();
    EXPECT_ONLY(r, Inv::ptr);
}

TEST(Ptr, PageTablesPointingNowhere) {
    Rig r;
    r.boot();
    r.g.state().kernel_cr3 = 0x7ffffff000;
    r.cpus[0].cr3 = Gpa(0x7ffffff000);
    r.boundary();
    EXPECT_FIRED(r, Inv::inv1);  // nothing is mapped any more, and nothing crashed
}

TEST(Ptr, GarbageNeverCrashesTheOracle) {
    std::mt19937_64 random(20240317);
    unsigned seen = 0;
    for (int round = 0; round < 300; ++round) {
        Rig r;
        r.random = true;
        r.boot_to_user();
        for (int i = 0; i < 8; ++i) {
            const std::uint64_t areas[] = {FakeGuest::state_pa + 8, FakeGuest::threads_pa,
                                           FakeGuest::percpu_pa, FakeGuest::frames_pa + 0x2000, 0x200000};
            const std::uint64_t at = areas[random() % 5] + random() % 2048 / 8 * 8;
            r.g.ram.at<std::uint64_t>(at) = random() % 2 == 0 ? random() : random() % 4096;
        }
        r.user_stop();
        r.mark(static_cast<Mark>(random() % 32), random() % 8, random() % 20, random());
        r.mark(Mark::exit_done, r.g.a);
        seen += r.violations.empty() ? 0 : 1;
    }
    EXPECT_GT(seen, 150u) << "garbage that nobody looks at proves nothing";
}

TEST(Inv26, PanicIsQuotedEvenBeforeBoot) {
    Rig r;
    const char text[] = "out of memory\n";
    std::memcpy(&r.g.ram.at<char>(FakeGuest::text_pa), text, sizeof text);
    r.mark(Mark::panic, abi::kernel_map_base + FakeGuest::text_pa, sizeof text - 1);
    EXPECT_ONLY(r, Inv::inv26);
    EXPECT_NE(r.violations[0].text.find("out of memory."), std::string::npos);
}

TEST(Inv26, PanicWithABadTextPointer) {
    Rig r;
    r.boot();
    r.mark(Mark::panic, 0xdead, ~0ull);
    EXPECT_ONLY(r, Inv::inv26);
}

TEST(Warn, IsANote) {
    Rig r;
    r.boot();
    r.mark(Mark::warn, abi::kernel_map_base + FakeGuest::text_pa, 3);
    EXPECT_CLEAN(r);
    ASSERT_EQ(r.oracle.notes().size(), 1u);
    EXPECT_EQ(r.oracle.notes()[0].id, "WARN");
}

TEST(I16, DamagedCanary) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.mark(Mark::canary_bad, r.g.a, abi::stack_page(r.g.a, 2), 0x1234);
    EXPECT_ONLY(r, Inv::i16);
}

TEST(Violation, IsReportedOnce) {
    Rig r;
    r.boot();
    FakeGuest::push(r.g.cpu().cache, r.g.pfn_of(r.g.a, 0));
    r.boundary();
    r.boundary();
    r.mark(Mark::idle, 0);
    EXPECT_EQ(r.violations.size(), 1u) << r.all();
    EXPECT_EQ(r.violations[0].stop, 2u);
}

}  // namespace
}  // namespace stackrig::oracle::test
