// Parts of sweeps add up, findings travel, counterexamples are scenarios, and the subset search is 1-minimal.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "vmm/cli/counterexample.hpp"
#include "vmm/explore/replay.hpp"
#include "vmm/explore/sweep_result.hpp"
#include "vmm/report/sweep.hpp"

namespace stackrig {
namespace {

using explore::Cell;
using explore::Finding;
using explore::SweepResult;

Finding finding(const char* id, std::uint64_t boundary, std::uint64_t count) {
    return {.verdict = "violation", .id = id, .object = "reserve of cpu0", .text = "It was seen.", .where = "cpu0", .picture = "[####]\n",
            .decisions = {"inject nmi at A do_syscall_64+0x10 #2"}, .trace_hash = 0xfedcba9876543210, .count = count, .boundary = boundary};
}

SweepResult part(std::uint64_t first, std::uint64_t count) {
    SweepResult r{.boundaries = 100, .first = first, .count = count, .runs = 3, .stops = 7};
    r.coverage["enter"]["nmi"] = {.executed = 2, .rejoined = 1, .not_applicable = {{"IF=0", 4}}, .pruned = {{"P1", 1}}};
    r.map = explore::SweepMap(first);
    for (std::uint64_t i = first; i < first + count; ++i) {
        r.map.enter(i % 10 == 9 ? "" : fmt::format("A enter+0x{:x}", i));
        r.map.note(i, "nmi", i % 2 == 0 ? explore::Fate::rejoined : explore::Fate::not_applicable);
    }
    return r;
}

TEST(SweepParts, AddUpWhateverTheOrder) {
    SweepResult a = part(0, 50);
    a.findings = {finding("INV-19", 40, 2)};
    a.findings[0].seen_at = {{"nmi", {40, 42}}};
    SweepResult b = part(50, 50);
    b.findings = {finding("INV-19", 60, 3), finding("INV-4", 55, 1)};
    b.findings[0].seen_at = {{"irq", {60}}, {"nmi", {60, 61}}};
    b.unmet = "never";
    a.all_met = true;
    SweepResult forward;
    forward.add(a);
    forward.add(b);
    SweepResult backward;
    backward.add(b);
    backward.add(a);
    for (const SweepResult& r : {forward, backward}) {
        EXPECT_EQ(r.count, 100u);
        EXPECT_EQ(r.coverage.at("enter").at("nmi").executed, 4u);
        EXPECT_EQ(r.coverage.at("enter").at("nmi").not_applicable.at("IF=0"), 8u);
        EXPECT_EQ(r.coverage.at("enter").at("nmi").placements(), 14u);
        ASSERT_EQ(r.findings.size(), 2u);
        EXPECT_EQ(r.findings[0].id, "INV-19");
        EXPECT_EQ(r.findings[0].boundary, 40u) << "the first placement, not the first part that came in";
        EXPECT_EQ(r.findings[0].count, 5u);
        EXPECT_EQ(r.findings[0].seen_at, (std::map<std::string, std::vector<std::uint64_t>>{{"irq", {60}}, {"nmi", {40, 42, 60, 61}}}));
        EXPECT_TRUE(r.all_met) << "one part has seen it";
        ASSERT_EQ(r.map.places().size(), 100u);
        EXPECT_EQ(r.map.places()[58], "A enter+0x3a");
        EXPECT_EQ(r.map.places()[59], "");
        EXPECT_EQ(r.map.rows().at("nmi").substr(48, 4), "r-r-");
    }
}

TEST(SweepParts, SurviveTheStream) {
    SweepResult r = part(3, 9);
    r.findings = {finding("INV-9", 5, 1)};
    const auto back = report::sweep_from_json(report::to_json(r));
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(report::to_json(*back), report::to_json(r));
    EXPECT_EQ(back->findings[0].trace_hash, 0xfedcba9876543210);
    report::Json broken = report::to_json(r);
    broken.erase("coverage");
    EXPECT_FALSE(report::sweep_from_json(broken));
}

TEST(SweepMap, KeepsTheWorstOfAPlaceAndNothingElsewhere) {
    using explore::Fate;
    explore::SweepMap map(10);
    map.enter("A x");
    map.enter("A y");
    map.note(11, "nmi, then any", Fate::pruned);
    map.note(11, "nmi, then any", Fate::failed);
    map.note(11, "nmi, then any", Fate::rejoined);
    map.note(12, "nmi", Fate::failed);
    map.note(9, "nmi", Fate::failed);
    EXPECT_EQ(map.rows(), (std::map<std::string, std::string>{{"nmi, then any", " F"}}));
    for (const Fate fate : explore::all_fates()) {
        EXPECT_STRNE(explore::words_for(fate), "?");
    }
}

TEST(SweepStatement, SaysWhatIsMissing) {
    SweepResult r = part(0, 90);
    r.coverage["exit"]["nmi"] = {.executed = 3, .incomplete = 1, .host_skipped = 2};
    const std::string text = report::coverage_statement(r);
    EXPECT_NE(text.find("90 of 100 boundaries"), std::string::npos) << text;
    EXPECT_NE(text.find("not executed: 3 of nmi in exit (2 skipped by the host, 1 out of\n  budget)"), std::string::npos) << text;
    EXPECT_NE(text.find("62.5 %"), std::string::npos) << text;
    EXPECT_NE(text.find("INCOMPLETE"), std::string::npos) << text;
    EXPECT_NE(text.find("IF=0"), std::string::npos) << text;
    EXPECT_EQ(report::coverage_statement(part(0, 100)).find("INCOMPLETE"), std::string::npos);
    EXPECT_EQ(report::executed_percent(SweepResult{}), 100);
}

TEST(ObjectClass, LeavesFrameNumbersOut) {
    EXPECT_EQ(explore::object_class("frame 0x3a1"), "frame #");
    EXPECT_EQ(explore::object_class("P2 of B, frames 0x1 and 0x2f"), "P2 of B, frames # and #");
    EXPECT_EQ(explore::object_class(""), "");
}

TEST(MinimalSubset, KeepsExactlyWhatIsNeeded) {
    const auto needs = [](std::vector<std::size_t> wanted, unsigned& runs) {
        return [wanted, &runs](const std::vector<std::size_t>& kept) -> Result<bool> {
            ++runs;
            return std::includes(kept.begin(), kept.end(), wanted.begin(), wanted.end());
        };
    };
    for (const std::vector<std::size_t>& wanted : std::vector<std::vector<std::size_t>>{{0}, {19}, {3, 4}, {0, 19}, {2, 9, 17}, {}}) {
        unsigned runs = 0;
        const auto kept = explore::minimal_subset(20, needs(wanted, runs));
        ASSERT_TRUE(kept);
        EXPECT_EQ(*kept, wanted);
        EXPECT_LT(runs, 400u);
    }
    unsigned runs = 0;
    EXPECT_TRUE(explore::minimal_subset(0, needs({}, runs))->empty());
    EXPECT_TRUE(explore::minimal_subset(1, needs({}, runs))->empty());
}

TEST(MinimalSubset, PassesErrorsOn) {
    const auto broken = [](const std::vector<std::size_t>&) -> Result<bool> { return fail(ErrorKind::host, "gone"); };
    EXPECT_FALSE(explore::minimal_subset(4, broken));
}

const std::string source = R"(schema = 1
name   = "workload"   # a comment
why    = "Why."
expect = { violation = "INV-4", also = ["INV-17"] }

[threads.A]
program = ["spin"]

[run]
decisions = ["inject mc at A x",
             "inject mc at A y"]
schedule = ["run"]

[explore]
sweep = { events = ["nmi"] }

[check]
finally = ["leaked == 0"]
)";

TEST(Counterexample, IsTheScenarioWithItsDecisions) {
    const Finding found = finding("INV-19", 1, 1);
    EXPECT_EQ(cli::counterexample_text(source, "", found, 0xabc, 0x123), fmt::format(R"(schema = 1
name   = "{}"
why    = "Found in workload: It was seen."
expect = {{ violation = "INV-19" }}

[threads.A]
program = ["spin"]

[run]
decisions = ["inject nmi at A do_syscall_64+0x10 #2"]
schedule  = ["run"]

[check]
finally = ["leaked == 0"]

[replay]
guest = "0000000000000abc"
trace = "0000000000000123"
)", cli::counterexample_name(found)));
}

TEST(Counterexample, ExpectsWhatFiredOnTheWayAndNoMore) {
    Finding found = finding("INV-19", 1, 1);
    found.also = {"INV-17", "INV-20"};
    EXPECT_NE(cli::counterexample_text(source, "", found, 1, 2).find("\nexpect = { violation = \"INV-19\", also = [\"INV-17\", \"INV-20\"] }\n"), std::string::npos)
        << "replayed, the first of them would end the run";
    EXPECT_NE(report::finding_text(found).find("\n  on the way to it: INV-17, INV-20\n"), std::string::npos) << report::finding_text(found);
}

TEST(Counterexample, OfAVariantIsTheVariantsRun) {
    const std::string text = cli::counterexample_text(source + R"(
[guest]
repair = "proposed"

[variants.literal]
guest = { repair = "literal", cache_pages = 0 }
schedule = ["run A until user"]

[variants.other]
guest = { cpus = 4 }
)", "literal", finding("INV-19", 1, 1), 1, 2);
    EXPECT_NE(text.find("why      = \"Found in workload (literal): It was seen.\"\n"), std::string::npos) << text;
    EXPECT_NE(text.find("schedule = [\"run A until user\"]\n"), std::string::npos) << text;
    EXPECT_NE(text.find("\n[guest]\nrepair      = \"literal\"\ncache_pages = 0\n"), std::string::npos) << text;
    EXPECT_EQ(text.find("variants"), std::string::npos) << text;
    EXPECT_EQ(text.find("[\"run\"]"), std::string::npos) << "the file's own schedule: " << text;
}

TEST(Counterexample, GetsARunTableWhereThereIsNone) {
    const std::string text = cli::counterexample_text("name = \"a\"\nschedule = [\"run\"]\n", "", finding("", 1, 1), 1, 2);
    EXPECT_NE(text.find("\n[run]\ndecisions = ["), std::string::npos) << text;
    EXPECT_EQ(text.find("expect"), std::string::npos) << "a panic has no invariant to expect";
}

TEST(Counterexample, NamesDifferByWhatAndWhere) {
    const Finding a = finding("INV-19", 1, 1);
    Finding b = a;
    b.decisions = {"inject mc at A do_syscall_64"};
    EXPECT_NE(cli::counterexample_name(a), cli::counterexample_name(b));
    EXPECT_TRUE(cli::counterexample_name(a).starts_with("cx-inv-19-"));
}

}  // namespace
}  // namespace stackrig
