// Sweeps over small workloads: what is covered, what rejoins, what is found, and that snapshots and parts change nothing.
#include <algorithm>
#include <gtest/gtest.h>

#include "tests/kvm/explore/sweep_fixture.hpp"
#include "vmm/explore/replay.hpp"
#include "vmm/machine/deliver.hpp"
#include "vmm/scenario/sentence.hpp"

namespace stackrig::explore {
namespace {

constexpr std::uint64_t everything = ~std::uint64_t{0};

TEST_F(SweepTest, EveryApplicableBoundaryOfTheHooksIsExecutedAndRejoinsTheTrunk) {
    const auto sweep = sweep_of(scenario(round_trip), {.verify_restores = false, .repeat_every = 64});
    const SweepResult result = must(sweep->run(0, everything));
    EXPECT_TRUE(result.findings.empty()) << all_findings(result);
    EXPECT_EQ(result.coverage.size(), 6u) << "the functions named";
    EXPECT_EQ(result.foreseen, result.runs) << "nothing holds an event back here, and nothing waits for one";
    EXPECT_EQ(result.unproved, 0u);
    for (const char* event : {"nmi", "mc"}) {
        const Cell cell = total(result, event);
        EXPECT_GT(cell.executed, 100u) << event;
        EXPECT_EQ(cell.rejoined, cell.executed) << event << " interrupts kernel code transparently";
        EXPECT_EQ(cell.host_skipped + cell.incomplete + cell.off_schedule, 0u) << event;
    }
    const Cell tick = total(result, "tick");
    EXPECT_GT(tick.not_applicable.at("IF=0"), 0u);
    EXPECT_EQ(tick.placements(), total(result, "nmi").placements()) << "every boundary is accounted for";
}

TEST_F(SweepTest, RestoresBetweenBranchesAreExact) {
    const auto sweep = sweep_of(scenario(round_trip), {.verify_restores = true, .repeat_every = 0});
    const std::uint64_t middle = sweep->boundaries() / 2;
    EXPECT_TRUE(sweep->run(middle, 120)) << "all RAM and all registers were compared after each restore";
}

// An IPI waits while another is handled, and is taken at the very boundary that the first one returns to.
TEST_F(SweepTest, CpusThatInterruptEachOtherGiveOneTraceFromBootAndFromSnapshots) {
    const auto sweep = sweep_of(scenario(R"(
[guest]
cpus        = 2
cache_pages = 3
free_pages  = 3
repair      = "proposed"
[threads.A]
cpu     = 0
program = ["syscall wait 1 deep 6K", "syscall wait 1 deep 6K", "exit"]
[threads.W]
kind    = "kthread"
cpu     = 1
program = ["call wake 1", "call wait 3", "call wake 1", "exit"]
[threads.X]
kind    = "kthread"
cpu     = 1
program = ["call wake 3", "exit"]
[run]
schedule = ["run A until A sleeps", "run W until W sleeps", "run A until A user", "run A until A sleeps", "run X until X exits", "run W until W exits", "run"]
[explore]
sweep = { events = ["nmi"], at = ["do_exit"] }
)"), {.repeat_every = 4});
    const SweepResult result = must(sweep->run(0, sweep->boundaries()));  // fails where two traces differ
    EXPECT_GT(total(result, "nmi").executed, 20u);
    EXPECT_EQ(all_findings(result), "");
}

TEST_F(SweepTest, PartsInAnyOrderAddUpToTheWhole) {
    const auto sweep = sweep_of(scenario(round_trip), {.verify_restores = false, .repeat_every = 0});
    const SweepResult whole = must(sweep->run(0, everything));
    SweepResult parts;
    const std::uint64_t third = sweep->boundaries() / 3 + 1;
    for (const std::uint64_t first : {2 * third, std::uint64_t{0}, third}) {
        parts.add(must(sweep->run(first, third)));
    }
    EXPECT_EQ(parts.count, whole.count);
    EXPECT_EQ(parts.runs, whole.runs);
    EXPECT_EQ(parts.stops, whole.stops);
    for (const char* event : {"nmi", "mc", "tick"}) {
        EXPECT_EQ(total(parts, event).executed, total(whole, event).executed);
        EXPECT_EQ(total(parts, event).rejoined, total(whole, event).rejoined);
    }
}

const std::string literal_workload = R"(
[guest]
cache_pages = 3
free_pages  = 0
[guest.depth]
nmi = "5K"
[threads.A]
program = ["syscall wait 1"]
[threads.B]
program = ["spin"]
[threads.C]
program = ["spin"]
[run]
schedule = ["run A until sleeps", "run B until user #2"]
[explore]
sweep = { events = ["nmi", "tick"] }
)";

TEST_F(SweepTest, TheLiteralSchemeIsRefutedByAWorkloadThatNamesNoPlaceAndEachFindingReplays) {
    const scenario::Scenario& workload = scenario(literal_workload);
    const auto sweep = sweep_of(workload);
    const std::uint64_t last = sweep->boundaries();
    const SweepResult result = must(sweep->run(last - 40, everything));  // around B's first user instructions
    const auto found = [&](const std::string& id) {
        return std::find_if(result.findings.begin(), result.findings.end(), [&](const Finding& f) { return f.id == id; });
    };
    ASSERT_NE(found("INV-9"), result.findings.end()) << "a deep NMI overflows the one page: " << all_findings(result);
    ASSERT_NE(found("INV-21"), result.findings.end()) << "the reserve is held with IRQs on: " << all_findings(result);
    for (const Finding& finding : result.findings) {
        scenario::Scenario counterexample = workload;
        const scenario::SourceText source("decision", finding.decisions.front());
        scenario::Reporter reporter(source);
        const GuestSymbols symbols(*guest);
        const auto decision = scenario::read_decision(scenario::plain_piece(finding.decisions.front()), scenario::names_of(workload, symbols), reporter);
        ASSERT_TRUE(decision) << finding.decisions.front();
        // A second decision that the failure does not need.
        const engine::Decision idle{engine::FailAllocation{.nth = 999}, "fail allocation #999"};
        counterexample.plan.decisions = {*decision};
        const Replayed replayed = must(replay(*bench, counterexample));
        EXPECT_EQ(replayed.shown.key(), finding.key());
        EXPECT_EQ(replayed.trace_hash, finding.trace_hash) << "from boot as from the snapshot";
        EXPECT_TRUE(replayed.not_reached.empty());
        counterexample.plan.decisions = {idle, *decision};
        const Shrunk shrunk = must(shrink(*bench, counterexample));
        EXPECT_EQ(shrunk.decisions.size(), 1u);
        EXPECT_EQ(shrunk.shown.shown.key(), finding.key());
    }
}

TEST_F(SweepTest, EveryAllocationIsMadeToFailOnceAndForEver) {
    const auto sweep = sweep_of(scenario(R"(
[guest]
cache_pages = 0
[threads.A]
program = ["syscall null", "spin"]
[run]
schedule = ["run"]
[explore]
sweep = { events = ["alloc"] }
)"));
    const SweepResult result = must(sweep->run(0, everything));
    EXPECT_GE(result.allocations, 3u);
    EXPECT_EQ(total(result, "alloc").executed, result.allocations);
    EXPECT_EQ(total(result, "alloc-all").executed, result.allocations);
    EXPECT_EQ(total(result, "alloc-all").rejoined, 0u) << "a lasting failure has another future than none";
}

/// A workload small enough to put a second event behind every first one.
std::string pairs_of(const std::string& events, const std::string& which, const std::string& at) {
    return fmt::format(R"(
[threads.A]
program = ["syscall null", "spin"]
[run]
schedule = ["run A until user #2", "run"]
[explore]
sweep = {{ events = [{}], at = ["{}"], pairs = "{}" }}
)", events, at, which);
}


TEST_F(SweepTest, ASecondEventIsPutAtEveryBoundaryBehindAFirstUntilTheTrunkIsRejoined) {
    const auto sweep = sweep_of(scenario(pairs_of(R"("nmi", "mc")", "all", "syscall_exit_to_user_mode")),
                                {.verify_restores = true, .repeat_every = 16});
    const Gva function = *guest->find("syscall_exit_to_user_mode");
    // In the first return of a new thread no stop has shown yet what a first event makes the oracle see.
    const SweepResult result = must(sweep->run(boundary_where(*sweep, [&](const Boundary& b) { return b.rip == function; }), 1));
    EXPECT_TRUE(result.findings.empty()) << all_findings(result);
    EXPECT_EQ(total(result, "nmi").executed, 1u);
    for (const char* pair : {"nmi, then mc", "mc, then nmi"}) {
        const Cell cell = total(result, pair);
        EXPECT_GT(cell.executed, 40u) << pair << ": a handler is longer than forty instructions";
        EXPECT_LT(cell.executed, 200u) << pair << ": behind the handler's return the trunk is rejoined";
        EXPECT_EQ(cell.rejoined, cell.executed) << pair;
        EXPECT_EQ(cell.host_skipped + cell.incomplete + cell.off_schedule, 0u) << pair;
    }
    const Cell nested = total(result, "nmi, then nmi");
    EXPECT_EQ(nested.executed, 0u);
    EXPECT_GT(nested.not_applicable.at("NMIs are masked until the next IRET"), 40u);
    EXPECT_EQ(nested.placements(), total(result, "nmi, then mc").placements()) << "every boundary is accounted for";
    const auto second = total(result, "mc, then mc");
    EXPECT_EQ(second.executed, 0u) << "no kernel survives a machine check on the #MC stack";
    EXPECT_GT(second.not_applicable.at("MCIP is set: a second machine check is a shutdown"), 0u);
    EXPECT_GT(second.not_applicable.at("#MC is being handled: between the clearing of MCIP and the IRET no kernel survives another, which overwrites the frame of the first"), 0u);
    EXPECT_GT(total(result, "nmi, then any").pruned.at("sound: behind the point where the run without events is rejoined, a second is a single"), 0u);
}

TEST_F(SweepTest, PairsInPartsAddUpToTheWhole) {
    const scenario::Scenario& small = scenario(pairs_of(R"("nmi", "tick")", "all", "do_syscall_64"));
    const Gva function = *guest->find("do_syscall_64");
    const auto sweep = sweep_of(small);
    const std::uint64_t from = boundary_where(*sweep, [&](const Boundary& b) { return b.rip == function; });
    SweepResult parts;
    parts.add(must(sweep->run(from + 1, 1)));
    parts.add(must(sweep->run(from, 1)));
    const SweepResult whole = must(sweep_of(small)->run(from, 2));
    EXPECT_GT(whole.runs, 80u) << "two events at two boundaries, and behind each of the four so many as its handler has";
    EXPECT_EQ(parts.runs, whole.runs);
    EXPECT_EQ(parts.stops, whole.stops);
}

TEST_F(SweepTest, FastPairsSkipFirstsThatAreLikeAnEarlierOneAndSayThatThisIsNotSound) {
    const Gva function = *guest->find("do_syscall_64");
    const auto pairs = [&](const std::string& which) {
        const auto sweep = sweep_of(scenario(pairs_of(R"("nmi", "mc")", which, "do_syscall_64")));
        return must(sweep->run(boundary_where(*sweep, [&](const Boundary& b) { return b.rip == function; }), 3));
    };
    const SweepResult all = pairs("all");
    const SweepResult fast = pairs("fast");
    EXPECT_EQ(total(fast, "nmi").executed, total(all, "nmi").executed) << "single events are not pruned";
    EXPECT_GT(total(fast, "nmi, then mc").executed, 0u);
    EXPECT_LT(total(fast, "nmi, then mc").executed, total(all, "nmi, then mc").executed);
    const auto pruned = total(fast, "nmi, then any").pruned;
    EXPECT_GT(pruned.at("NOT sound (fast): thread, function, IF, NMI mask and mapped pages were like this before"), 0u);
}

TEST_F(SweepTest, FailingAllocationsAreCrossedWithEventsAndWithEachOther) {
    const auto sweep = sweep_of(scenario(R"(
[guest]
cache_pages = 0
[threads.A]
program = ["syscall null", "spin"]
[run]
schedule = ["run"]
[explore]
sweep = { events = ["nmi", "alloc"], pairs = "all" }
)"), {.verify_restores = false, .repeat_every = 64});
    const auto& all = sweep->trunk().boundaries();
    std::uint64_t asking = 0;
    while (all[asking].moment.run.allocations == all[asking + 1].moment.run.allocations) {
        ++asking;
    }
    const SweepResult result = must(sweep->run(asking, 1));
    EXPECT_TRUE(result.findings.empty()) << all_findings(result);
    EXPECT_EQ(result.allocations, 1u);
    for (const char* pair : {"alloc, then nmi", "alloc, then alloc", "alloc-all, then nmi"}) {
        EXPECT_GT(total(result, pair).executed, 0u) << pair;
        EXPECT_EQ(total(result, pair).host_skipped + total(result, pair).incomplete, 0u) << pair;
    }
}

TEST_F(SweepTest, ARunThatIsNotCleanByItselfIsNotSwept) {
    const scenario::Scenario& broken = scenario(R"(
[threads.A]
program = ["syscall null", "spin"]
[run]
schedule = ["run"]
[check]
finally = ["mapped(A) == 4"]
[explore]
sweep = { events = ["nmi"] }
)");
    EXPECT_EQ(test::error_of(Sweep::prepare(*bench, broken, *broken.sweep, {})),
              "a without any event already ends as FAIL: \"mapped(A) == 4\" does not hold at the end: mapped(A) = 1. A sweep needs a run that is clean by itself");
}

TEST_F(SweepTest, ARunThatIsTooLongToKeepSaysSo) {
    EXPECT_EQ(test::error_of(Trunk::walk(*bench, scenario(round_trip), 100)), "a has more than 100 instruction boundaries, which are too many to keep; it stands in step 1. "
                                                                              "Shorten the programs or the schedule");
}

TEST_F(SweepTest, BehindAFindingNothingMoreIsPlaced) {
    std::string pairs = literal_workload;
    pairs.replace(pairs.find("[\"nmi\", \"tick\"]"), 15, "[\"nmi\"], pairs = \"all\"");
    const auto sweep = sweep_of(scenario(pairs));
    const auto& all = sweep->trunk().boundaries();
    const auto last = std::find_if(all.rbegin(), all.rend(), [](const Boundary& b) { return b.user_mode; });
    const SweepResult result = must(sweep->run(static_cast<std::uint64_t>(all.rend() - last) - 1, 1));
    EXPECT_EQ(total(result, "nmi, then any").pruned, (std::map<std::string, std::uint64_t>{{"sound: the first alone is a finding", 1}})) << all_findings(result);
}

TEST_F(SweepTest, WhereAnEventIsNotApplicableTheReasonIsCounted) {
    const auto debug = sweep_of(scenario(pairs_of(R"("db")", "all", "enter_from_user_mode")));
    const Gva function = *guest->find("enter_from_user_mode");
    const SweepResult twice = must(debug->run(boundary_where(*debug, [&](const Boundary& b) { return b.rip == function; }), 1));
    EXPECT_GT(total(twice, "db, then db").not_applicable.at("#DB is being handled: kernels disarm breakpoints there, for a second one overwrites the frame of the first"), 0u);
    const auto breakpoint = sweep_of(scenario(pairs_of(R"("bp")", "all", "entry_SYSCALL_64")));
    const Gva gap = *guest->find("entry_SYSCALL_64");
    const SweepResult trapped = must(breakpoint->run(boundary_where(*breakpoint, [&](const Boundary& b) { return b.rip == gap; }), 1));
    EXPECT_EQ(total(trapped, "bp").not_applicable,
              (std::map<std::string, std::uint64_t>{{"RSP is the user's still, or again: INT3 has no stack of its own, and no kernel puts one into such code (noinstr)", 1}}));
    const auto traps = sweep_of(scenario(R"(
[threads.A]
program = ["int3", "spin"]
[run]
schedule = ["run"]
[explore]
sweep = { events = ["bp"] }
)"));
    const Gva first = *guest->find("asm_exc_int3");
    const std::uint64_t at_first = boundary_where(*traps, [&](const Boundary& b) { return b.rip == first; });
    EXPECT_EQ(total(must(traps->run(at_first, 1)), "bp").not_applicable, (std::map<std::string, std::uint64_t>{{std::string(machine::int3_in_its_handler), 1}}));
    EXPECT_EQ(total(must(traps->run(at_first + 1, 1)), "bp").executed, 1u);
    const Gva iret = *guest->find("native_irq_return_iret");
    const std::uint64_t back_to_user = boundary_where(*traps, [&](const Boundary& b) { return b.rip == iret; });
    EXPECT_EQ(total(must(traps->run(back_to_user, 1)), "bp").not_applicable,
              (std::map<std::string, std::uint64_t>{{"the IRET to user mode: error_entry takes an exception there for one that IRET raised, so no kernel puts an INT3 on it "
                                                     "(noinstr)", 1}}));
    const auto in_handler = sweep_of(scenario(R"(
[guest]
repair = "proposed"
[threads.A]
program = ["spin"]
[run]
schedule = ["run A until user", "inject nmi on cpu0", "run"]
[explore]
sweep = { events = ["db", "nmi"], at = ["exc_nmi"], pairs = "all" }
)"));
    const SweepResult unmasked = must(in_handler->run(boundary_where(*in_handler, [](const Boundary& b) { return b.function == "exc_nmi"; }), 1));
    EXPECT_GT(total(unmasked, "db, then nmi").not_applicable.at("an NMI is being handled, and the IRET of another event has unmasked NMIs: Linux's entry code copes "
                                                                "with a second one, the guest's does not"), 0u);
    EXPECT_TRUE(unmasked.findings.empty()) << all_findings(unmasked);
    const auto nmi = sweep_of(scenario(literal_workload));
    const SweepResult once = must(nmi->run(boundary_where(*nmi, [](const Boundary& b) { return b.moment.machine.cpu(b.cpu).events.interrupt.shadow != 0; }), 1));
    EXPECT_EQ(total(once, "nmi").not_applicable, (std::map<std::string, std::uint64_t>{{"in the shadow of STI or MOV SS: it is taken one boundary later", 1}}));
}

// A random run has no decision for its second event: without these words nobody would know what to look for.
TEST_F(SweepTest, AFindingOfARandomRunSaysWhatCameBehindItsFirstEvent) {
    const auto sweep = sweep_of(scenario(R"(
[guest]
scheme = "fixed"
[guest.depth]
nmi = "9K"
[threads.A]
program = ["syscall null", "spin"]
[run]
schedule = ["run A until user", "run"]
[explore]
sweep = { events = ["nmi"] }
)"));
    const std::string behind = "is in no stack's missing page. Behind the first event came nmi at ";
    unsigned alone = 0;
    unsigned second = 0;
    for (std::uint64_t seed = 0; seed < 40 && (alone == 0 || second == 0); ++seed) {
        for (const Finding& finding : must(sweep->sample(seed, 10)).findings) {
            const bool nmi_first = finding.decisions.front().starts_with("inject nmi at ");
            EXPECT_EQ(finding.text.find(behind) != std::string::npos, !nmi_first) << finding.text << " by " << finding.decisions.front();
            ++(nmi_first ? alone : second);
        }
    }
    EXPECT_GT(alone, 0u);
    EXPECT_GT(second, 0u);
}

}  // namespace
}  // namespace stackrig::explore
