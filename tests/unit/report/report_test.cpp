// Reports: golden lines, exit codes, KTAP's rules, JSON there and back.
#include <gtest/gtest.h>

#include "tests/unit/report/samples.hpp"
#include "vmm/report/claims.hpp"
#include "vmm/report/clean.hpp"
#include "vmm/report/depths.hpp"
#include "vmm/report/json.hpp"
#include "vmm/report/jsonl.hpp"
#include "vmm/report/junit.hpp"
#include "vmm/report/ktap.hpp"
#include "vmm/report/text.hpp"

namespace stackrig::report {
namespace {

using explore::ScenarioResult;
using explore::Verdict;

using test::moment;
using test::passed;
using test::refuted;
using test::with;

TEST(Text, OneLinePerScenario) {
    EXPECT_EQ(result_line(passed()), "ok     a                                  C3 C4           28 stops  pass");
    EXPECT_EQ(result_line(refuted()), "ok     b                                  C7              32 stops  INV-19 violated, as expected");
    EXPECT_EQ(result_line(with(Verdict::vacuous)).substr(0, 6), "NOT OK") << "nothing examined is never a pass";
    EXPECT_EQ(result_line(passed(), Paint(true)).substr(0, 16), "\x1b[32mok     \x1b[0m") << "the column is padded before it is coloured";
}

TEST(Claims, TheShortestCounterexampleOfTheMailAndTheRepairedSchemeBesideIt) {
    ScenarioResult longer = refuted();
    longer.file = "scenarios/long.toml";
    longer.stops = 900;
    ScenarioResult repaired = passed();
    repaired.reading = scenario::Reading::repaired;
    repaired.claims = {"C7"};
    ScenarioResult otherwise = refuted();
    otherwise.reading = scenario::Reading::other;
    otherwise.name = "b[deep-reserve]";
    otherwise.stops = 3;
    ScenarioResult baseline = refuted();
    baseline.reading = scenario::Reading::baseline;
    EXPECT_EQ(claims_table({longer, otherwise, baseline, refuted(), passed(), repaired}),
              "The mail's claims: as written, repaired (repair = \"proposed\"), and\n"
              "read otherwise (some other policy):\n"
              "  C3  enter_from_user_mode() maps three pages, early enough\n"
              "      as written  held in 1\n"
              "      repaired    not tested here\n"
              "  C4  exit_to_user_mode() gives them back, late enough\n"
              "      as written  held in 1\n"
              "      repaired    not tested here\n"
              "  C7  three reserve pages per CPU are enough for the others\n"
              "      as written  REFUTED by scenarios/b.toml (INV-19) and 1 more; held\n"
              "                  in 0\n"
              "      repaired    held in 1\n"
              "      otherwise   REFUTED by scenarios/b.toml[deep-reserve] (INV-19);\n"
              "                  held in 0\n"
              "  not tested here: C1 C2 C5 C6 C8\n");
}

TEST(Claims, AViolationThatNobodyExpectedRefutesWhatItPutsFormallyAndNothingElse) {
    ScenarioResult found = refuted();  // INV-19, which puts C7 formally
    found.claims = {"C1", "C7"};
    found.verdict = Verdict::fail;
    const auto state = [&found](std::size_t claim) { return claim_state(oracle::claims()[claim], scenario::Reading::mail, {found}); };
    EXPECT_EQ(state(6).refuted.size(), 1u);
    EXPECT_EQ(state(0).refuted.size(), 0u);
    EXPECT_EQ(state(0).open, 1u) << "undecided: the run did not get to its end";
    found.verdict = Verdict::expected_violation;
    EXPECT_EQ(state(0).refuted.size(), 1u) << "its author says so";
    found.verdict = Verdict::vacuous;
    EXPECT_EQ(state(6).open, 1u);
}

TEST(Depths, TheDeepestOfAllRunsButTheBaseline) {
    ScenarioResult a = passed();
    a.depths = {{"syscall64", "entry", 360, 3}, {"syscall64", "switch", 432, 1}};
    ScenarioResult b = passed();
    b.depths = {{"syscall64", "entry", 340, 9}, {"timer", "exit", 120, 1}};
    ScenarioResult fixed = passed();
    fixed.reading = scenario::Reading::baseline;
    fixed.depths = {{"syscall64", "entry", 9000, 1}};
    const std::string table = depth_table({a, b, fixed});
    EXPECT_NE(table.find("  syscall64                    360       -       -       -       -     432\n"), std::string::npos) << table;
    EXPECT_NE(table.find("  timer                          -       -       -       -     120       -\n"), std::string::npos) << table;
    EXPECT_EQ(depth_table({fixed}), "");
}

TEST(Text, ExitCodesKeepOutcomesApart) {
    EXPECT_EQ(exit_code({passed(), refuted()}), 0);
    EXPECT_EQ(exit_code({passed(), with(Verdict::fail)}), 1);
    EXPECT_EQ(exit_code({with(Verdict::xpass)}), 1);
    EXPECT_EQ(exit_code({with(Verdict::vacuous)}), 1);
    EXPECT_EQ(exit_code({with(Verdict::incomplete)}), 1);
    EXPECT_EQ(exit_code({with(Verdict::fail), with(Verdict::error)}), 3);
    EXPECT_EQ(exit_code({with(Verdict::timeout)}), 3);
    ScenarioResult unrunnable = with(Verdict::error);
    unrunnable.unrunnable = true;
    EXPECT_EQ(exit_code({unrunnable, with(Verdict::fail)}), 2) << "the scenario is wrong, not the rig";
    EXPECT_EQ(exit_code({unrunnable, with(Verdict::error)}), 3);
    EXPECT_EQ(exit_code({passed(), with(Verdict::skip)}), 0);
    EXPECT_EQ(exit_code({with(Verdict::skip)}), 77);
}

TEST(Text, WrapsAtSpacesAndKeepsLongWordsWhole) {
    EXPECT_EQ(wrap("aa bb cc", 7, 2), "  aa bb\n  cc\n");
    EXPECT_EQ(wrap("a verylongword b", 6, 0), "a\nverylongword\nb\n");
}

TEST(Ktap, FollowsItsRules) {
    EXPECT_EQ(ktap_header(2), "KTAP version 1\n1..2\n");
    EXPECT_EQ(ktap_result(1, passed()), "ok 1 - a\n");
    EXPECT_EQ(ktap_result(2, refuted()), "ok 2 - b # XFAIL INV-19\n");
    EXPECT_EQ(ktap_result(3, with(Verdict::skip, "no inject.mc")), "ok 3 - a # SKIP no inject.mc\n");
    const std::string failed = ktap_result(4, with(Verdict::vacuous, "never # true"));
    EXPECT_EQ(failed.substr(failed.rfind("not ok")), "not ok 4 - a # ERROR VACUOUS: never _ true\n");
    EXPECT_EQ(failed.substr(0, 2), "# ") << "diagnostics come before the result line";
}

TEST(Clean, LeavesNothingThatAReaderRefuses) {
    EXPECT_EQ(clean("a\xff\xc3(\xe2\x82"), "a\uFFFD\uFFFD(\uFFFD\uFFFD") << "each byte of no character";
    EXPECT_EQ(clean(std::string("\0\t\n\r\x1b", 5)), "\uFFFD\t\n\uFFFD\uFFFD");
    EXPECT_EQ(clean("\u00e4\u2028\U0001F9E8"), "\u00e4\u2028\U0001F9E8");
    EXPECT_EQ(clean("\xc2\x9b\xef\xbf\xbf"), "\uFFFD\uFFFD") << "C1 controls drive terminals, XML refuses U+FFFF";
    EXPECT_EQ(xml("<a & 'b'>\""), "&lt;a &amp; &#39;b&#39;&gt;&quot;");
    EXPECT_EQ(one_line("a\nb\tc"), "a b c");
}

TEST(Clean, AFileNameThatIsNoTextBreaksNoReport) {
    ScenarioResult r = refuted();
    r.file = "\xff.toml";
    EXPECT_TRUE(Json::accept(jsonl_result({}, r).substr(0, jsonl_result({}, r).find('\n'))));
    EXPECT_NE(junit({}, {r}).find("file=\"\uFFFD.toml\""), std::string::npos);
}

TEST(JsonLines, TheEventOfAViolationIsTheLastOneThatHadHitByThen) {
    ScenarioResult r = refuted();
    r.steps = {"inject irq(timer) on cpu0 with need_resched", "run B until user", "inject irq(device) on cpu0"};
    r.last_step = 2;
    r.landings = {{.event = "irq(timer)", .where = "user_main", .exact = true}, {.event = "irq(device)", .where = "user_main", .exact = true}};
    const auto event_at = [&r](std::size_t step) {
        r.violations[0].moment.step = step;
        const std::string lines = jsonl_result({}, r);
        const std::size_t violation = lines.find("\"t\":\"violation\"");
        const std::size_t begin = lines.rfind('\n', violation);
        const std::size_t from = begin == std::string::npos ? 0 : begin + 1;
        return Json::parse(lines.substr(from, lines.find('\n', violation) - from)).value("event", "?");
    };
    EXPECT_EQ(event_at(1), "irq(timer)");
    EXPECT_EQ(event_at(2), "irq(device)");
}

TEST(JsonTest, GoesThereAndBack) {
    const Json json = to_json(refuted());
    EXPECT_EQ(json["trace_hash"], "fedcba9876543210");
    const auto back = result_from_json(Json::parse(json.dump()));
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(to_json(*back), json);
    EXPECT_EQ(back->violations.at(0).picture, refuted().violations.at(0).picture);
    EXPECT_EQ(back->violations.at(0).code.at(2).source, refuted().violations.at(0).code.at(2).source);
}

TEST(JsonTest, TheTimelineGoesThereAndBackAndWritesWhatDoesNotChangeOnce) {
    ScenarioResult r = refuted();
    r.timeline = {7, {moment(30), moment(31), moment(32)}};
    const Json json = to_json(r);
    EXPECT_EQ(json["timeline"]["threads"].size(), 2u);
    const auto back = result_from_json(Json::parse(json.dump()));
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(back->timeline.left_out, 7u);
    EXPECT_EQ(back->timeline.moments, r.timeline.moments);
    EXPECT_EQ(back->violations[0].moment, r.violations[0].moment);
    EXPECT_EQ(back->violations[0].before, r.violations[0].before);
    EXPECT_EQ(back->violations[0].before_stop, 31u);
    Json damaged = json;
    damaged["timeline"]["moments"][0]["t"][0] = 99;
    EXPECT_FALSE(result_from_json(damaged)) << "an index beyond the table";
}

TEST(JsonTest, NamesWhatCannotBeRead) {
    Json json = to_json(passed());
    json.erase("stops");
    const auto missing = result_from_json(json);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().text, "a result from the worker cannot be read ([json.exception.out_of_range.403] key 'stops' not found): is the worker of another build? "
                                    "`ninja -C build` builds both");
    json = to_json(passed());
    json["verdict"] = "splendid";
    EXPECT_FALSE(result_from_json(json));
}

}  // namespace
}  // namespace stackrig::report
