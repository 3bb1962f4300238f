// The picture and the explanations, word for word, against tests/golden/oracle.
#include "vmm/oracle/picture.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/unit/oracle/golden.hpp"
#include "tests/unit/oracle/rig.hpp"
#include "vmm/oracle/words.hpp"

namespace stackrig::oracle::test {
namespace {

void expect_narrow(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 72u) << line;
        EXPECT_TRUE(line.empty() || line.back() != ' ') << "trailing blank: " << line;
    }
}

std::string symbol(Gva at) {
    return at.value() < abi::user_stack_va ? "user_main+0x10" : "enter_from_user_mode+0x2e";
}

void draw(Rig& r, const std::string& name, const std::vector<ThreadId>& focus, bool everything = false) {
    const PictureStyle style{symbol, focus, everything, 3};
    const std::string text = picture(r.oracle.view(), r.oracle.history(), style);
    expect_narrow(text);
    expect_golden(name, text);
}

// draw() needs the last stop to be alive: the rig keeps none, so a stop is made and drawn here.
void stop_and_draw(Rig& r, engine::StopCause cause, const std::string& name,
                   const std::vector<ThreadId>& focus, bool everything = false) {
    const engine::Stop now{412, 3, CpuId(0), std::move(cause), r.cpus, r.g.ram};
    for (const Violation& v : r.oracle.observe(now)) {
        r.violations.push_back(v);
    }
    draw(r, name, focus, everything);
}

TEST(Picture, SecondUserOfTheReserve) {
    Rig r({.cache = 0, .free = 0}, "INV-19");
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    r.mark(Mark::loop_begin, r.g.a, 1);
    r.first_run(r.g.b, r.g.a);
    r.in_kernel(r.g.b, false, 296);
    r.mark(Mark::enter_begin, r.g.b, static_cast<std::uint64_t>(Entry::timer));
    stop_and_draw(r,
                  engine::MarkStop{Mark::enter_short, {r.g.b, static_cast<std::uint64_t>(Entry::timer), 3}},
                  "second-user.txt", {ThreadId(r.g.a)});
    EXPECT_FIRED(r, Inv::inv19);
}

TEST(Picture, UserModeShort) {
    Rig r;
    r.boot_to_user();
    stop_and_draw(r, engine::UserMarkStop{abi::UserMark::op, 2}, "user-mode.txt", {});
}

TEST(Picture, EverythingOnTwoCpusWithSleeperAndHands) {
    Rig r({.cpus = 2, .cache = 14});
    r.boot_to_user();
    r.enter(r.g.a, Entry::syscall64);
    r.irq_on(r.g.a, Entry::syscall64);
    r.in_kernel(r.g.a, false, 12288);
    r.g.thread(r.g.a).state = abi::ThreadState::blocked;
    r.g.thread(r.g.a).wait_kind = abi::WaitKind::mutex;
    r.g.thread(r.g.a).wait_object = 5;
    r.mark(Mark::sleep, r.g.a, 1, 5);
    r.first_run(r.g.b, r.g.a);
    r.in_kernel(r.g.b);
    r.mark(Mark::enter_begin, r.g.b, 1);
    r.g.cpu().hook_active = 1;
    FakeGuest::push(r.g.cpu().hands, FakeGuest::pop(r.g.cpu().cache));
    r.on_cpu_stack(abi::CpuStack::nmi);
    r.cpus[0].nmi_masked = true;
    stop_and_draw(r, engine::LandedStop{Entry::nmi, true, true, ""}, "everything.txt", {}, true);
}

TEST(Picture, LiesAreMarked) {
    Rig r;
    r.boot_to_user();
    r.g.cpu().current = FakeGuest::thread_pointer(r.g.k);
    r.g.map(r.g.k, 3, r.g.pfn_of(r.g.a, 0));
    r.g.pte(abi::stack_base(r.g.k) - 1) = 0x500000 | 7;
    std::memset(r.g.thread(r.g.b).name, 0x1b, sizeof r.g.thread(r.g.b).name);
    r.g.frame(r.g.state().free_head).next = r.g.state().free_head;
    stop_and_draw(r, engine::PlaceStop{}, "lies.txt", {ThreadId(r.g.k)});
}

// A bug may leave a CPU anywhere, and a thread without a stack.
TEST(Picture, StackPointersInNoStackOfAThread) {
    Rig r({.cpus = 3});
    r.boot();
    r.cpus[0].rsp = Gva(abi::kernel_map_base + 0x1000);
    r.cpus[1].rsp = Gva(abi::direct_map_base + 0x9000);
    r.cpus[2].rsp = Gva(abi::stack_base(2) - 64);
    r.g.thread(r.g.k).state = abi::ThreadState::blocked;
    r.g.thread(r.g.k).wait_kind = abi::WaitKind::frame;
    r.g.thread(r.g.b).slot = 0xffff;
    stop_and_draw(r, engine::ReturnStop{}, "no-stack.txt", {}, true);
    EXPECT_EQ(stack_text(r.oracle.view(), r.oracle.view().cpus[2].rsp), "guard below idle's stack, 16448 bytes deep") << "which the picture clips";
}

TEST(Picture, BeforeTheKernelIsUp) {
    Rig r;
    r.g.state().magic = 0;
    r.mark(Mark::panic, 0, 0);
    EXPECT_EQ(picture(r.oracle.view(), r.oracle.history(), {}), "the kernel has not set up its state yet\n");
}

TEST(Catalogue, EveryRowIsComplete) {
    std::set<std::string_view> ids;
    ASSERT_EQ(catalogue().size(), inv_count);
    for (std::size_t i = 0; i < inv_count; ++i) {
        const Invariant& row = catalogue()[i];
        EXPECT_EQ(static_cast<std::size_t>(row.inv), i) << "row " << i << " is missing";
        EXPECT_TRUE(ids.insert(row.id).second) << row.id;
        EXPECT_FALSE(row.title.empty() || row.statement.empty() || row.how.empty()) << row.id;
        EXPECT_EQ(row.sentence.empty(), row.said_in.empty()) << row.id;
        EXPECT_NE(row.schemes, 0u) << row.id;
        EXPECT_TRUE(row.leads_to.empty() || find_invariant(row.leads_to)) << row.id;
        EXPECT_TRUE(std::ifstream(std::string(STACKRIG_SOURCE_DIR) + "/" + std::string(row.file)))
            << row.file;
        if (row.basis == Basis::claim) {
            EXPECT_FALSE(row.sentence.empty()) << row.id << " claims to be in the mail";
        }
    }
}

TEST(Catalogue, WhatIsCheckedElsewhereNamesRealChecks) {
    for (const Elsewhere& row : checked_elsewhere()) {
        EXPECT_FALSE(find_invariant(row.id)) << row.id << " has a check of its own";
        EXPECT_FALSE(row.covered_by.empty() && row.reason.empty()) << row.id;
        if (!row.covered_by.empty()) {
            EXPECT_TRUE(find_invariant(row.covered_by.substr(0, row.covered_by.find_first_of(", ")))) << row.id;
        }
    }
}

/// The headers of the patches: the one place that says which invariant kills which bug.
std::vector<SeededBug> seeded_bugs() {
    std::vector<SeededBug> bugs;
    for (const auto& entry : std::filesystem::directory_iterator(golden_path("../../self/bugs"))) {
        std::ifstream file(entry.path());
        constexpr std::string_view key = "Invariant: ";
        for (std::string line; std::getline(file, line);) {
            if (line.starts_with(key)) {
                bugs.push_back({entry.path().stem().string(), line.substr(key.size())});
                break;
            }
        }
    }
    std::sort(bugs.begin(), bugs.end(), [](const SeededBug& a, const SeededBug& b) { return a.name < b.name; });
    return bugs;
}

TEST(Catalogue, MarkdownWordForWord) { expect_golden("invariants.md", catalogue_markdown(seeded_bugs())); }

TEST(Catalogue, SeededBugsNameRealChecks) {
    const std::vector<SeededBug> bugs = seeded_bugs();
    EXPECT_GE(bugs.size(), 40u);
    for (const SeededBug& bug : bugs) {
        EXPECT_TRUE(find_invariant(bug.invariant)) << bug.name << " names " << bug.invariant;
    }
}

TEST(Explain, WordForWord) {
    const auto text = explain("inv-19");
    ASSERT_TRUE(text);
    expect_golden("explain-inv-19.txt", *text);
    for (const Invariant& row : catalogue()) {
        expect_narrow(*explain(row.id));
    }
    EXPECT_FALSE(explain("INV-99"));
    EXPECT_FALSE(explain(""));
}

}  // namespace
}  // namespace stackrig::oracle::test
