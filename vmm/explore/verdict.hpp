// From the end of a run to a verdict.
#pragma once

#include <optional>
#include <string>

#include "vmm/engine/runner.hpp"
#include "vmm/explore/result.hpp"
#include "vmm/explore/watch.hpp"
#include "vmm/scenario/scenario.hpp"

namespace stackrig::explore {

struct Judged {
    Verdict verdict;
    std::string reason;
    bool unrunnable = false;  ///< an error of the scenario's, not of host, guest or rig
};

/// Of a run by itself: whatever is expected of the scenario, did it come to its end with nothing violated?
[[nodiscard]] Judged judge_end(const engine::RunOutcome& outcome, const Watch& watch, const scenario::Scenario& scenario);

/// Of a scenario: as expected?
[[nodiscard]] Judged judge(const engine::RunOutcome& outcome, const Watch& watch, const scenario::Scenario& scenario);

/// How a run with decisions ended, whatever the scenario expects of a run without.
struct Showing {
    enum class How {
        clean,
        rejoined,      ///< left where the trunk had stood
        failed,        ///< `finding` says of what
        off_schedule,  ///< a step of the schedule cannot be carried out any more
        incomplete,    ///< the budget of stops ran out
        late,          ///< the host did not deliver an event exactly where it was meant
    };
    How how = How::clean;
    std::optional<Finding> finding;  ///< of failed; of off_schedule and incomplete only its text

    /// Finding::key(), empty without one.
    [[nodiscard]] std::string key() const { return finding ? finding->key() : ""; }
};
[[nodiscard]] Showing what_it_shows(const engine::RunOutcome& outcome, const Watch& watch);

}  // namespace stackrig::explore
