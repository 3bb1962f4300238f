// What a run says of itself when it is not as expected, word for word.
#include <gtest/gtest.h>
#include <regex>

#include "tests/kvm/explore/workload.hpp"
#include "vmm/engine/runner.hpp"

namespace stackrig::explore {
namespace {

class RunVerdictTest : public WorkloadTest {
  protected:
    /// "VERDICT: reason" of thread A's null system call; numbers that come and go with the guest's code are left out.
    std::string judged(const std::string& schedule, const std::string& more = "", const std::string& header = "") {
        const ScenarioResult result = must(run_scenario(
            *bench, scenario(header + "[threads.A]\nprogram = [\"syscall null\", \"spin\"]\n[run]\nschedule = [" + schedule + "]\n" + more)));
        const std::regex numbers(R"((at stop |after stop |\+0x)[0-9a-f]+)");
        return std::regex_replace(fmt::format("{}: {}", name_of(result.verdict), result.reason), numbers, "$1N");
    }
};

TEST_F(RunVerdictTest, APredicateThatDoesNotHoldIsSaidWithItsPlaceAndValues) {
    EXPECT_EQ(judged(R"("run A until A user", "expect mapped(A) == 4 && reserve(cpu0) == 3")"),
              "FAIL: \"expect mapped(A) == 4 && reserve(cpu0) == 3\" does not hold after stop N: mapped(A) = 1, reserve(cpu0) = 3");
    EXPECT_EQ(judged(R"("run A until A user #2")", "[check]\nalways = [\"mapped(A) <= 1\"]\n"),
              "FAIL: \"mapped(A) <= 1\" does not hold at stop N, cpu0 thread A map_extra+0xN: mapped(A) = 2");
    EXPECT_EQ(judged(R"("run A until A user")", "[check]\nfinally = [\"mapped(A) == 4\"]\n"), "FAIL: \"mapped(A) == 4\" does not hold at the end: mapped(A) = 1");
}

TEST_F(RunVerdictTest, AViolationInTheWayOfTheExpectedOneSaysHowToGoOn) {
    const ScenarioResult result = must(run_scenario(*bench, scenario(R"toml(
expect = { violation = "INV-1" }

[guest]
scheme      = "entry-exit"
repair      = "literal"
cache_pages = 0
free_pages  = 0

[threads.A]
program = ["spin"]

[threads.B]
program = ["spin"]

[run]
schedule = ["run A until user", "inject irq(timer) on cpu0 with need_resched", "run B until user", "inject irq(device) on cpu0", "run"]
)toml")));
    EXPECT_EQ(result.verdict, Verdict::fail);
    ASSERT_EQ(result.violations.size(), 1u);
    EXPECT_EQ(result.reason, fmt::format("{0} was violated: {1} INV-1 was expected; with \"{0}\" in `also` the run goes on to it", result.violations[0].id,
                                         result.violations[0].text));
}

TEST_F(RunVerdictTest, ABudgetThatRanOutSaysWhatHelps) {
    EXPECT_EQ(judged(R"("run A until A user #2")", "max_stops = 20\n"),
              "INCOMPLETE: the budget of 20 stops is used up in step 1 (\"run A until A user #2\"). Raise max_stops in [run], or shorten the schedule");
}

TEST_F(RunVerdictTest, AHostThatLacksSomethingSkipsByItsName) {
    EXPECT_EQ(judged(R"("run A until A user")", "", "requires = [\"tlb.stale\"]\n"), "SKIP: this host lacks tlb.stale; ./rig doctor shows what it can do");
}

/// Nobody checks anything: the engine has to find out by itself that nothing goes on.
struct Nobody final : engine::Observer {
    bool at_stop(const engine::Stop&) override { return true; }
    bool at_expect(std::size_t, const engine::Stop&) override { return true; }
    void at_end(const engine::Stop&, engine::Ending) override {}
};

TEST_F(RunVerdictTest, CpusThatWaitForEachOtherEndTheRun) {
    const scenario::Scenario& two_exits = scenario(R"toml(
[guest]
cpus        = 2
cache_pages = 3
flush       = "ipi"

[threads.A]
cpu     = 0
program = ["syscall null", "spin"]

[threads.B]
cpu     = 1
program = ["syscall null", "spin"]

[run]
schedule = ["run A until mark(syscall)", "run A until mark(exit.begin)", "run B until mark(syscall)", "run B until mark(exit.begin)", "run A until A user"]
)toml");
    Nobody nobody;
    const engine::RunOutcome outcome = must(engine::run(bench->system, *guest, two_exits.plan, nobody, {}));
    EXPECT_EQ(outcome.end, engine::RunEnd::deadlocked);
    const std::regex place(R"(at \S+?(,|$))");
    EXPECT_EQ(std::regex_replace(outcome.detail, place, "at PLACE$1"), "CPUs wait for each other and none will ever go on: cpu0 at PLACE, cpu1 at PLACE");
}

}  // namespace
}  // namespace stackrig::explore
