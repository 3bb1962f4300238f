// From file text to model: defaults, order, positions, and files that cannot be read.
#include <gtest/gtest.h>

#include "tests/unit/scenario/fake_guest.hpp"
#include "vmm/scenario/scenario.hpp"
#include "vmm/scenario/sentence.hpp"

namespace stackrig::scenario {
namespace {

constexpr const char* flagship = R"toml(schema   = 1
name     = "reserve-holder-rescheduled"
why      = "The next IRQ finds none."
claims   = ["C7"]
hazards  = ["HZ-B3", "HZ-A3b"]
requires = ["inject.irq"]
expect   = { violation = "INV-19", also = ["INV-17"] }
schedule = [ "run B until user", "inject irq(timer) on cpu0 with need_resched", "expect free == 0", "run" ]

[guest]
scheme = "entry-exit"
repair = "literal"
cpus = 1
cache_pages = 0
reserve_pages = 4
free_pages = 0
ram = "32M"
[guest.depth]
nmi = "5K"
timer = 512

[threads.Z]
cpu = 0
program = ["syscall lock 1 deep 12K", "touch"]
loop = true
[threads.B]
kind = "kthread"
program = ["call wait 2"]
[threads.A]
program = []

[check]
always = ["reserve(cpu0) == 3 || reserve.users(cpu0) == 1"]
sometimes = ["reserve(cpu0) == 0", "pend(Z)"]
finally = ["leaked == 0"]

[run]
max_stops = 77
check = "instruction"
)toml";

Scenario must(const std::string& text) {
    auto checked = check(text, "test.toml", FakeSymbols{});
    EXPECT_TRUE(checked) << (checked ? "" : render(checked.error()));
    return checked ? std::move(checked->front()) : Scenario{};
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
}

TEST(Load, EveryKeyReachesTheModel) {
    const Scenario s = must(replaced(flagship, "run B until user", "run Z until user"));
    EXPECT_EQ(s.file, "test.toml");
    EXPECT_EQ(s.name, "reserve-holder-rescheduled");
    EXPECT_EQ(s.why, "The next IRQ finds none.");
    EXPECT_EQ(s.claims, std::vector<std::string>{"C7"});
    EXPECT_EQ(s.hazards, (std::vector<std::string>{"HZ-B3", "HZ-A3b"}));
    EXPECT_EQ(s.capabilities, std::vector<std::string>{"inject.irq"});
    EXPECT_FALSE(s.expect.pass());
    EXPECT_EQ(s.expect.violation, "INV-19");
    EXPECT_EQ(s.expect.also, std::vector<std::string>{"INV-17"});
    const engine::GuestPlan& guest = s.plan.guest;
    EXPECT_EQ(guest.scheme, abi::Scheme::entry_exit);
    EXPECT_EQ(guest.cache_pages, 0u);
    EXPECT_EQ(guest.reserve_pages, 4u);
    EXPECT_EQ(guest.free_pages, 0u);
    EXPECT_EQ(guest.ram_bytes, 32u << 20);
    EXPECT_EQ(guest.depth[static_cast<std::size_t>(abi::Entry::nmi)], 5120u);
    EXPECT_EQ(guest.depth[static_cast<std::size_t>(abi::Entry::timer)], 512u);
    EXPECT_EQ(s.plan.max_stops, 77u);
    EXPECT_TRUE(s.plan.check_every_instruction);
    EXPECT_EQ(s.always.size(), 1u);
    EXPECT_EQ(s.sometimes.size(), 2u);
    EXPECT_EQ(s.finally.size(), 1u);
    EXPECT_EQ(s.always[0].text, "reserve(cpu0) == 3 || reserve.users(cpu0) == 1");
}

TEST(Load, ThreadsKeepTheOrderOfTheFile) {
    const Scenario s = must(replaced(flagship, "run B until user", "run B until B sleeps"));
    ASSERT_EQ(s.plan.threads.size(), 3u);
    EXPECT_EQ(s.plan.threads[0].name, "Z");
    EXPECT_EQ(s.plan.threads[1].name, "B");
    EXPECT_EQ(s.plan.threads[1].kind, abi::ThreadKind::kthread);
    EXPECT_EQ(s.plan.threads[2].name, "A");
    ASSERT_EQ(s.plan.threads[0].program.size(), 3u);
    EXPECT_EQ(s.plan.threads[0].program[0].depth, 12288u);
    EXPECT_EQ(s.plan.threads[0].program[2].kind, abi::OpKind::jump);
    EXPECT_EQ(s.plan.threads[0].program[2].arg, 0u);
    EXPECT_TRUE(s.plan.threads[2].program.empty());
    EXPECT_EQ(std::get<engine::RunUntil>(s.plan.schedule[0].what).thread, 1u);
}

TEST(Load, PlacesInTheFileAreKept) {
    const Scenario s = must(replaced(flagship, "run B until user", "run Z until user"));
    ASSERT_EQ(s.step_places.size(), 4u);
    EXPECT_EQ(s.step_places[0].at, (Position{8, 14}));
    EXPECT_EQ(s.thread_places[1].at, (Position{26, 10}));
    ASSERT_EQ(s.expects.size(), 1u);
    EXPECT_EQ(s.expects[0].at, (Span{{8, 89}, 9}));
    EXPECT_EQ(s.plan.schedule[1].text, "inject irq(timer) on cpu0 with need_resched");
}

TEST(Load, Defaults) {
    const Scenario s = must(
        "schema = 1\nname = \"a\"\nwhy = \"b\"\nexpect = \"pass\"\n[threads.A]\nprogram = "
        "[\"spin\"]\n[run]\nschedule = [\"run\"]\n");
    EXPECT_TRUE(s.expect.pass());
    EXPECT_EQ(s.plan.guest.cpus, 1u);
    EXPECT_EQ(s.plan.guest.cache_pages, 3u);
    EXPECT_EQ(s.plan.guest.reserve_pages, 3u);
    EXPECT_FALSE(s.plan.guest.free_pages);
    EXPECT_EQ(s.plan.guest.scheme, abi::Scheme::entry_exit);
    EXPECT_EQ(s.plan.threads[0].kind, abi::ThreadKind::user);
    EXPECT_FALSE(s.plan.check_every_instruction);
    EXPECT_EQ(s.plan.max_stops, engine::RunPlan{}.max_stops);
}

TEST(Load, NamesOfALoadedScenarioServeTheCommandLine) {
    const FakeSymbols symbols;
    const Scenario s = must(replaced(flagship, "run B until user", "run Z until user"));
    const Names names = names_of(s, symbols);
    const auto place = parse_place("A sleeps", names);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->thread, 2u);
    EXPECT_TRUE(parse_place("step 4", names));
    const auto more = parse_place("A user now", names);
    ASSERT_FALSE(more);
    EXPECT_NE(render(more.error()).find("nothing more in this place"), std::string::npos) << render(more.error());
    const auto wrong = parse_place("A sleps", names);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(
        render(wrong.error()),
        "place:1:3: error: unknown place \"sleps\": neither a word for places nor a symbol of the guest\n"
        "    1 | A sleps\n"
        "      |   ^~~~~\n"
        "      = did you mean \"sleeps\"?\n\n"
        "place: 1 error\n");
}

TEST(Load, AtMost64OperationsTheJumpCounted) {
    const auto file = [](std::size_t operations, bool loop) {
        std::string program;
        for (std::size_t i = 0; i < operations; ++i) {
            program += "\"touch\",";
        }
        return "schema = 1\nname = \"a\"\nwhy = \"b\"\n[threads.A]\nprogram = [" + program +
               "]\nloop = " + (loop ? "true" : "false") + "\n[run]\nschedule = [\"run\"]\n";
    };
    EXPECT_TRUE(check(file(64, false), "f", FakeSymbols{}));
    EXPECT_TRUE(check(file(63, true), "f", FakeSymbols{}));
    EXPECT_FALSE(check(file(65, false), "f", FakeSymbols{}));
    EXPECT_FALSE(check(file(64, true), "f", FakeSymbols{}));
    EXPECT_FALSE(check(file(0, true), "f", FakeSymbols{}));
}

TEST(Load, AtMost251Threads) {
    const auto file = [](int threads) {
        std::string text = "schema = 1\nname = \"a\"\nwhy = \"b\"\nschedule = [\"run\"]\n";
        for (int i = 0; i < threads; ++i) {
            text += "[threads.t" + std::to_string(i) + "]\nprogram = [\"spin\"]\n";
        }
        return text;
    };
    EXPECT_TRUE(check(file(251), "f", FakeSymbols{}));
    EXPECT_FALSE(check(file(252), "f", FakeSymbols{}));
    EXPECT_FALSE(check(file(0), "f", FakeSymbols{}));
}

TEST(Load, AnErrorOfKindUsageCarriesTheWholeText) {
    const auto bad = check("schema = 2\n", "f.toml", FakeSymbols{});
    ASSERT_FALSE(bad);
    const Error error = to_error(bad.error());
    EXPECT_EQ(error.kind, ErrorKind::usage);
    EXPECT_EQ(error.text, render(bad.error()));
    EXPECT_NE(error.text.find("f.toml:1:10: error: this build reads schema 1"), std::string::npos);
}

TEST(Load, HugeFilesAreRefused) {
    const auto huge = check(std::string(2 << 20, '#'), "f", FakeSymbols{});
    ASSERT_FALSE(huge);
    EXPECT_EQ(render(huge.error()), "f: error: this file is too large to be a scenario: the limit is 1 MiB\n\nf: 1 error\n");
}

std::string first_problem(const std::string& text) {
    const auto bad = check(text, "f", FakeSymbols{});
    return bad ? "" : bad.error().front().text;
}

TEST(Load, WhatIsTooMuchIsSaidWithItsLimit) {
    const std::string head = "schema = 1\nname = \"a\"\nwhy = \"b\"\n";
    const std::string thread = "[threads.A]\nprogram = [\"spin\"]\n";
    std::string steps;
    for (int i = 0; i < 1001; ++i) {
        steps += "\"run\", ";
    }
    EXPECT_EQ(first_problem(head + "schedule = [" + steps + "]\n" + thread), "a schedule has at most 1000 steps");
    EXPECT_EQ(first_problem(head + "schedule = [\"run" + std::string(1000, ' ') + "\"]\n" + thread),
              "a sentence of 1003 bytes is too long: the limit is 1000");
    EXPECT_EQ(first_problem(head + "schedule = [\"run\"]\n[threads]\n"), "a scenario has 1 to 251 threads, not 0");
}

TEST(Load, FilesThatTheParserGivesUpOnAreToldSo) {
    const auto bad = check("[=a", "f", FakeSymbols{});
    ASSERT_FALSE(bad);
    const Diagnostic& problem = bad.error().front();
    EXPECT_TRUE(problem.text.starts_with("no TOML: ")) << render(bad.error());
    if (problem.text == "no TOML: the parser gave up on it and cannot say where") {  // others may cope
        EXPECT_EQ(problem.hint, "look for a key without a value, or a lone control character");
    }
}

TEST(Variants, AScheduleOfTheirOwnReplacesTheFilesOneWhereverThatStands) {
    const auto checked = check(R"(
schema = 1
name   = "v"
why    = "w"
[threads.A]
program = ["spin"]
[run]
schedule = ["run A until user", "run"]
[variants.short]
schedule = ["run"]
)",
                               "v.toml", FakeSymbols{});
    ASSERT_TRUE(checked) << render(checked.error());
    EXPECT_EQ(checked->front().plan.schedule.size(), 2u);
    EXPECT_EQ(checked->back().plan.schedule.size(), 1u);
}

}  // namespace
}  // namespace stackrig::scenario
