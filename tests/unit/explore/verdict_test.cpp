// Verdicts and their reasons, word for word: of runs and of sweeps whose end is given.
#include <gtest/gtest.h>

#include "tests/unit/scenario/fake_guest.hpp"
#include "vmm/explore/single.hpp"
#include "vmm/explore/sweep_scenario.hpp"
#include "vmm/explore/trunk.hpp"
#include "vmm/explore/verdict.hpp"
#include "vmm/report/sweep.hpp"

namespace stackrig::explore {
namespace {

using engine::RunEnd;

/// A scenario and who watches it, before anything has run.
class VerdictTest : public testing::Test {
  protected:
    const scenario::Scenario& scenario(const std::string& expect = "", const std::string& check = "") {
        auto checked = scenario::check("schema = 1\nname = \"a\"\nwhy = \"Why.\"\n" + expect + "\n[threads.A]\nprogram = [\"spin\"]\n[run]\nschedule = [\"run A until user\"]\n" + check,
                                       "a.toml", symbols_);
        EXPECT_TRUE(checked) << (checked ? "" : scenario::render(checked.error()));
        scenario_ = std::make_unique<scenario::Scenario>(std::move(checked->front()));
        names_ = std::make_unique<scenario::Names>(scenario::names_of(*scenario_, symbols_));
        watch_ = std::make_unique<Watch>(*scenario_, *names_, Gpa(0), [](Gva) { return std::string(); });
        return *scenario_;
    }
    /// "VERDICT: reason" of a run of scenario() that ended like this.
    std::string judged(const engine::RunOutcome& outcome) const {
        const Judged all = judge(outcome, *watch_, *scenario_);
        return fmt::format("{}: {}", name_of(all.verdict), all.reason);
    }
    std::string judged(SweepResult sweep) const {
        sweep.all_met = sweep.unmet.empty();
        const ScenarioResult result = sweep_result(*scenario_, std::move(sweep));
        return fmt::format("{}: {}", name_of(result.verdict), result.reason);
    }
    static SweepResult swept(const Cell& cell) {
        SweepResult sweep;
        sweep.coverage["enter"]["nmi"] = cell;
        return sweep;
    }

    scenario::FakeSymbols symbols_;
    std::unique_ptr<scenario::Scenario> scenario_;
    std::unique_ptr<scenario::Names> names_;
    std::unique_ptr<Watch> watch_;
};

TEST_F(VerdictTest, ARunThatEndsEarlySaysInWhichStepAndWhatHelps) {
    scenario();
    EXPECT_EQ(judged({.end = RunEnd::budget, .detail = "The run has not ended after 20 stops"}),
              "INCOMPLETE: The run has not ended after 20 stops. Raise max_stops in [run], or shorten the schedule");
    EXPECT_EQ(judged({.end = RunEnd::broken, .detail = "shutdown at 0x10"}), "ERROR: the guest broke down: shutdown at 0x10 (step 1, \"run A until user\")");
    EXPECT_EQ(judged({.end = RunEnd::stuck, .detail = "it loops", .step = 1}), "TIMEOUT: it loops") << "behind the last step";
}

TEST_F(VerdictTest, AnEventThatLandedElsewhereIsNoResult) {
    scenario();
    EXPECT_EQ(judged({.events = {{.event = "nmi", .boundary = Gva(16), .exact = false, .detail = "the frame names 0x14"}}}),
              "ERROR: nmi did not hit the boundary it was meant for: the frame names 0x14");
}

TEST_F(VerdictTest, WhatWasExpectedAndDidNotComeIsNamed) {
    scenario("expect = { violation = \"INV-19\" }");
    EXPECT_EQ(judged(engine::RunOutcome{}), "XPASS: INV-19 was expected to be violated and was not");
    scenario("expect = { violation = \"INV-19\", also = [\"INV-17\"] }");
    Watch::State seen = watch_->save();
    seen.expected_seen = true;
    watch_->restore(seen);
    EXPECT_EQ(judged(engine::RunOutcome{}), "XPASS: INV-17 was to be violated on the way to INV-19 and was not");
    scenario("", "[check]\nsometimes = [\"free == 0\"]\n");
    EXPECT_EQ(judged(engine::RunOutcome{}), "VACUOUS: \"free == 0\" was never true: the run did not get where the scenario wants to look");
}

TEST_F(VerdictTest, WhatFiredOnTheWayIsNotWhatEndedTheRun) {
    scenario("expect = { violation = \"INV-19\", also = [\"INV-17\"] }");
    Watch::State seen = watch_->save();
    seen.violations.push_back({.id = "INV-17", .text = "The reserve is short."});
    watch_->restore(seen);
    const Showing shown = what_it_shows({.end = RunEnd::panic, .detail = "the guest panicked: no stack"}, *watch_);
    ASSERT_TRUE(shown.finding);
    EXPECT_EQ(shown.finding->verdict, "panic");
    EXPECT_EQ(shown.finding->id, "");
    EXPECT_EQ(shown.finding->text, "the guest panicked: no stack");
    EXPECT_EQ(shown.finding->also, std::vector<std::string>{"INV-17"});
    EXPECT_EQ(what_it_shows({.end = RunEnd::finished}, *watch_).how, Showing::How::clean);
}

TEST_F(VerdictTest, WithoutAnyStopThereIsNoPlaceToName) {
    scenario();
    EXPECT_EQ(watch_->where(), "cpu0, before the kernel's data could be read");
}

TEST_F(VerdictTest, ASweepSaysWhatItLacks) {
    scenario();
    EXPECT_EQ(judged(swept({.executed = 3, .incomplete = 2})), "INCOMPLETE: 2 placements ran out of their budget of stops. Raise max_stops in [run]");
    EXPECT_EQ(judged(swept({.executed = 3, .host_skipped = 2})),
              "INCOMPLETE: 2 placements were not delivered exactly where they were meant to be, on this host. ./rig doctor shows what it can do; --host virtual is another one");
    EXPECT_EQ(judged(swept({.not_applicable = {{"IF=0", 4}}})),
              "VACUOUS: no placement could be executed: the window holds none that is applicable. Name other functions in `at`, or other events");
    SweepResult unmet = swept({.executed = 3});
    unmet.unmet = "free == 0";
    EXPECT_EQ(judged(unmet), "VACUOUS: \"free == 0\" was never true in any run: the sweep did not get where the scenario wants to look");
    EXPECT_EQ(judged(swept({.executed = 3})), "pass: ");
}

TEST_F(VerdictTest, ASweepThatDoesNotFindWhatItIsForIsNoPass) {
    scenario("expect = { violation = \"INV-19\" }");
    EXPECT_EQ(judged(swept({.executed = 3})), "XPASS: INV-19 was expected to be found and was not, by any placement");
}

TEST(KernelState, AnotherProgramIsNoGuest) {
    const auto steps = x86::Elf::load(STACKRIG_STEPS_ELF);
    ASSERT_TRUE(steps) << steps.error().text;
    const auto state = kernel_state(*steps);
    ASSERT_FALSE(state);
    EXPECT_EQ(state.error().text, STACKRIG_STEPS_ELF " has no symbol kernel_state: it is no guest of this rig; `ninja -C build` builds one");
}

TEST(SweepMap, HasAWordForEachLetter) {
    std::string legend;
    for (const Fate fate : all_fates()) {
        legend += fmt::format("{} {}\n", static_cast<char>(fate), words_for(fate));
    }
    EXPECT_EQ(legend, R"(  nothing to place
- not applicable
p pruned
r executed, rejoined the run without events
e executed to its end
o executed, cut off: the schedule could not go on
h skipped by the host
i out of budget
F a finding
)");
}

TEST(SweepStatement, SaysWhatItRestsOn) {
    SweepResult whole{.boundaries = 100, .count = 100, .runs = 3, .stops = 7};
    whole.coverage["enter"]["nmi"] = {.executed = 3, .rejoined = 3};
    const std::string text = report::coverage_statement(whole);
    EXPECT_EQ(text.substr(text.find("  These are")), R"(  These are all single placements on the path that the scenario takes
  without any event, in the guest's kernel and user code, with
  sequentially consistent memory. Two or more events, other paths and
  other programs are not covered. A branch that stands where the trunk
  stood is taken for the trunk's future; left out of that comparison:
  bytes below the stack pointer of a thread's stack, and the whole stack
  of a thread in user mode; the entry, IRQ and IST stacks of a CPU that
  runs on none of them, and the others of one that runs on the entry
  stack; the contents of frames in a cache, a reserve or on the free
  list; what machine-check banks have logged, and what a CPU caches of a
  null SS; the counts of remote flushes, but not which CPU has not seen
  which; how often marks were raised, unless a predicate of the scenario
  asks for it; the number of stops so far.
)");
}

TEST(SweepStatement, AnEventThatFitsNowhereIsNamed) {
    SweepResult whole{.boundaries = 100, .count = 100, .runs = 3, .stops = 7};
    whole.coverage["enter"]["nmi"] = {.executed = 3};
    whole.coverage["enter"]["irq"].not_applicable["IF=0"] = 3;
    whole.coverage["enter"]["nmi, then any"].pruned["a rule"] = 3;
    const std::string text = report::coverage_statement(whole);
    EXPECT_NE(text.find("  irq was applicable nowhere here: nothing is said about it.\n"), std::string::npos) << text;
    EXPECT_EQ(text.find("nmi was"), std::string::npos) << text;
    EXPECT_EQ(text.find("then any was"), std::string::npos) << "it was pruned: " << text;
}

TEST(SweepStatement, OfPairsOfAPartSaysSo) {
    SweepResult part{.boundaries = 100, .count = 90, .runs = 3, .stops = 7};
    part.coverage["enter"]["nmi, then mc"] = {.executed = 3};
    const std::string text = report::coverage_statement(part);
    EXPECT_EQ(text.find("Covered: 90 of 100 boundaries of the run, 1 function, 3 runs, 7 stops\njudged\n"), 0U) << text;
    const std::size_t from = text.find("  100.0 %");
    EXPECT_EQ(text.substr(from, text.find("  below the stack") - from), R"(  100.0 % of the applicable placements were executed; INCOMPLETE: not
  every boundary was swept.
  These are all single placements and the ordered pairs that are not
  pruned, the first of each on the path that the scenario takes without
  any event, in the guest's kernel and user code, with sequentially
  consistent memory. Three or more events, other paths and other
  programs are not covered. A branch that stands where the trunk stood
  is taken for the trunk's future; left out of that comparison: bytes
)");
}

}  // namespace
}  // namespace stackrig::explore
