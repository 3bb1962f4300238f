// Reports: golden lines, exit codes, KTAP's rules, JSON there and back.
#include <gtest/gtest.h>

#include "vmm/report/clean.hpp"
#include "vmm/report/json.hpp"
#include "vmm/report/jsonl.hpp"
#include "vmm/report/junit.hpp"
#include "vmm/report/ktap.hpp"
#include "vmm/report/text.hpp"

namespace stackrig::report {
namespace {

using explore::ScenarioResult;
using explore::Verdict;

ScenarioResult passed() {
    return {.file = "scenarios/a.toml", .name = "a", .why = "Because.", .claims = {"C3", "C4"}, .verdict = Verdict::pass, .stops = 28};
}

ScenarioResult refuted() {
    ScenarioResult r{.file = "scenarios/b.toml", .name = "b", .why = "Since.", .claims = {"C7"}, .verdict = Verdict::expected_violation,
                     .expected_id = "INV-19", .stops = 32, .trace_hash = 0xfedcba9876543210};
    r.violations = {{.id = "INV-19", .text = "A second one is needed.", .where = "cpu0 thread B enter+0x26d",
                     .step = "run B until mark(enter.short)", .stop = 32, .picture = "picture\n", .line = 12}};
    r.landings = {{"irq(timer)", "user_mark+0x7", true, ""}};
    r.notes = {"INV-17 at stop 24: the reserve holds 0 of 3"};
    return r;
}

ScenarioResult with(Verdict verdict, const std::string& reason = "") {
    ScenarioResult r = passed();
    r.verdict = verdict;
    r.reason = reason;
    return r;
}

TEST(Text, OneLinePerScenario) {
    EXPECT_EQ(result_line(passed()), "ok     a                                  C3 C4           28 stops  pass");
    EXPECT_EQ(result_line(refuted()), "ok     b                                  C7              32 stops  INV-19 violated, as expected");
    EXPECT_EQ(result_line(with(Verdict::vacuous)).substr(0, 6), "NOT OK") << "nothing examined is never a pass";
}

TEST(Text, DetailsNameWhatWhereAndHowToSeeItAgain) {
    EXPECT_EQ(result_details(refuted()),
              "b: INV-19 violated, as expected (scenarios/b.toml)\n"
              "  why: Since.\n"
              "  INV-19 at stop 32, cpu0 thread B enter+0x26d\n"
              "    A second one is needed.\n"
              "    during: run B until mark(enter.short)\n"
              "picture\n"
              "  on the way, INV-17 at stop 24: the reserve holds 0 of 3\n"
              "  event irq(timer) hit user_mark+0x7: exactly there\n"
              "  trace hash fedcba9876543210; see it again: ./rig run scenarios/b.toml --verbose\n");
}

TEST(Text, ClaimsTableTakesTheShortestCounterexample) {
    ScenarioResult longer = refuted();
    longer.file = "scenarios/long.toml";
    longer.stops = 900;
    EXPECT_EQ(claims_table({longer, refuted(), passed()}),
              "The mail's claims, as these scenarios found them:\n"
              "  C3  enter_from_user_mode() maps three pages, early enough\n"
              "      held in 1\n"
              "  C4  exit_to_user_mode() gives them back, late enough\n"
              "      held in 1\n"
              "  C7  three reserve pages per CPU are enough for the others\n"
              "      REFUTED by scenarios/b.toml (INV-19) and 1 more; held in 0\n"
              "  not tested here: C1 C2 C5 C6 C8\n");
}

TEST(Text, ExitCodesKeepOutcomesApart) {
    EXPECT_EQ(exit_code({passed(), refuted()}), 0);
    EXPECT_EQ(exit_code({passed(), with(Verdict::fail)}), 1);
    EXPECT_EQ(exit_code({with(Verdict::xpass)}), 1);
    EXPECT_EQ(exit_code({with(Verdict::vacuous)}), 1);
    EXPECT_EQ(exit_code({with(Verdict::incomplete)}), 1);
    EXPECT_EQ(exit_code({with(Verdict::fail), with(Verdict::error)}), 3);
    EXPECT_EQ(exit_code({with(Verdict::timeout)}), 3);
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

TEST(JsonTest, GoesThereAndBack) {
    const Json json = to_json(refuted());
    EXPECT_EQ(json["trace_hash"], "fedcba9876543210");
    const auto back = result_from_json(Json::parse(json.dump()));
    ASSERT_TRUE(back) << back.error().text;
    EXPECT_EQ(to_json(*back), json);
    EXPECT_EQ(back->violations.at(0).picture, "picture\n");
}

oracle::Moment moment(std::uint64_t stop) {
    oracle::Moment m{.stop = stop, .step = 2, .cpu = 1, .kind = "mark", .cause = "mark enter.short", .free_pages = 5, .violated = {"INV-19"}};
    oracle::MomentCpu cpu{.context = oracle::Context::entry, .symbol = "enter+0x26d", .stack = "B's stack", .thread = "B",
                          .doing = "inside ENTER", .cache = {1, 2}, .reserve = {3}, .hands = {4}};
    cpu.regs = {.cpu = CpuId{1}, .rip = Gva(0xffffffff8010959d), .rsp = Gva(0xffffc90000017ee8), .rflags = 2, .cs = 0x10,
                .cr2 = Gva(0x1234), .cr3 = Gpa(0x5000), .gs_base = Gva(0xffff888000000000), .nmi_masked = true};
    cpu.regs.gpr[15] = 0xfedcba9876543210;
    m.cpus = {{}, cpu};
    oracle::MomentThread thread{.name = "B", .kind = "user", .state = "running", .doing = "inside ENTER", .guards = 1, .depth = 280,
                                .on_own_stack = true, .cpu = 1};
    thread.pages[0] = {0x8000000000161063, "own"};
    m.threads = {{.name = "A"}, thread};
    return m;
}

TEST(JsonTest, TheTimelineGoesThereAndBackAndWritesWhatDoesNotChangeOnce) {
    ScenarioResult r = refuted();
    r.steps = {"run"};
    r.violations[0].moment = moment(32);
    r.violations[0].before = moment(31).cpus[1].regs;
    r.violations[0].before_stop = 31;
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
    EXPECT_NE(missing.error().text.find("stops"), std::string::npos) << missing.error().text;
    json = to_json(passed());
    json["verdict"] = "splendid";
    EXPECT_FALSE(result_from_json(json));
}

}  // namespace
}  // namespace stackrig::report
