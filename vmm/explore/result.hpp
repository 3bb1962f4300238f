// The outcome of one scenario: verdict, what was seen, and what was examined. Plain data, for reports and the stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/explore/sweep_result.hpp"
#include "vmm/oracle/moment.hpp"
#include "vmm/scenario/reading.hpp"

namespace stackrig::explore {

/// Outcomes are kept apart; only the first two are what the scenario's author asked for.
enum class Verdict {
    pass,
    expected_violation,
    fail,        ///< a violation nobody expected, or an `expect` step that did not hold
    xpass,       ///< the expected violation did not come
    skip,        ///< the host lacks a named capability
    vacuous,     ///< a `sometimes` was never true: nothing was examined
    incomplete,  ///< the budget of stops ran out
    timeout,     ///< the guest ran into the watchdog
    error,       ///< the scenario cannot be run as written, or the guest or the rig broke
};

[[nodiscard]] constexpr bool as_expected(Verdict v) { return v == Verdict::pass || v == Verdict::expected_violation; }
[[nodiscard]] const char* name_of(Verdict v);

/// One instruction of a disassembly, with its place in the source.
struct CodeLine {
    std::uint64_t address = 0;
    std::string label;   ///< "enter+0x26d"
    std::string text;    ///< "mov rdi, rbx"
    std::string file;    ///< "guest/stack/entry_exit.cpp"; empty: not known
    std::uint32_t line = 0;
    std::string source;  ///< that line
};

/// One violated invariant, the first time it was seen in the run.
struct ViolationReport {
    std::string id;       ///< "INV-19"
    std::string object;   ///< what it is about: "P2 of B"
    std::string text;     ///< what was seen, one sentence
    std::string where;    ///< "cpu0 thread B enter_from_user_mode+0x2e"
    std::string step;     ///< the schedule step being executed; of a sweep, the decision that led to it
    std::uint64_t stop = 0;  ///< 0: of a sweep, whose runs do not start at boot
    std::string picture;    ///< stacks, cache, reserve; several lines
    std::uint32_t line = 1;  ///< of the schedule step in the scenario file
    oracle::Moment moment;       ///< the stop at which it was seen
    engine::CpuState before;     ///< the CPU that stopped, at its stop before
    std::vector<CodeLine> code;  ///< around RIP; filled in where source lines are known
    std::string access;          ///< what the next instruction reads or writes, and the state of that page; same
    std::uint64_t before_stop = 0;  ///< which stop that was; 0: there was none
};

/// One injected event and the proof of where it hit.
struct LandingReport {
    std::string event;
    std::string where;   ///< symbolised boundary
    bool exact = false;  ///< the pushed frame names exactly that boundary
    std::string detail;
    std::uint64_t address = 0;   ///< of the boundary
    std::vector<CodeLine> code;  ///< around it; filled in where source lines are known
};

/// How often an invariant was looked at, and how often it had something to say.
struct Examined {
    std::string id;
    std::uint64_t evaluated = 0;
    std::uint64_t applicable = 0;
};

/// Stack bytes used, per entry kind and window.
struct DepthReport {
    std::string entry;
    std::string window;
    std::uint64_t max_bytes = 0;
    std::uint64_t samples = 0;
};

/// The stops of a run from the end of boot on, as far as they were recorded: its last ones.
struct Timeline {
    std::uint64_t left_out = 0;  ///< stops before the first moment, boot aside
    std::vector<oracle::Moment> moments;
};

struct ScenarioResult {
    std::string file;
    std::string name;
    std::string why;
    std::vector<std::string> claims;
    std::vector<std::string> hazards;
    scenario::Reading reading = scenario::Reading::mail;
    Verdict verdict = Verdict::error;
    std::string reason;  ///< one sentence; empty for a plain pass
    bool unrunnable = false;  ///< of an error: the scenario cannot be carried out as it is written; neither host, guest nor rig broke
    std::string expected_id;
    std::vector<ViolationReport> violations;
    std::string ending;  ///< where the run ended, and a picture of it, when it is not as expected and no violation has one
    std::vector<LandingReport> landings;
    std::vector<Examined> examined;
    std::vector<DepthReport> depths;
    std::vector<std::string> notes;    ///< what the oracle noticed on the way to the violation the scenario is about
    std::vector<std::string> console;  ///< what the guest itself complained about
    std::uint64_t stops = 0;
    std::uint64_t trace_hash = 0;
    double seconds = 0;
    std::vector<std::string> steps;  ///< the schedule, as written
    std::size_t last_step = 0;       ///< index of the step in which the run ended
    Timeline timeline;               ///< empty unless asked for
    std::string made_with;             ///< options of `run` without which the run would be another one
    std::optional<SweepResult> sweep;  ///< of a scenario with [explore]: a violation for each finding, in their order
    std::vector<ScenarioResult> shown;  ///< of a sweep: the run that shows each of its first findings, when asked for
    std::uint32_t line = 1;  ///< in `file`: of the schedule step at which the run ended
};

}  // namespace stackrig::explore
