// The observer of a scenario's run: lets the oracle look, evaluates the predicates, decides when enough is seen.
#pragma once

#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "vmm/engine/stop.hpp"
#include "vmm/explore/result.hpp"
#include "vmm/oracle/oracle.hpp"
#include "vmm/scenario/scenario.hpp"

namespace stackrig::explore {

/// Line of a schedule step in the scenario's file, 1 when there is no such step.
[[nodiscard]] std::uint32_t line_of(const scenario::Scenario& scenario, std::size_t step);

using Symbolise = std::function<std::string(Gva)>;

class Watch final : public engine::Observer {
  public:
    Watch(const scenario::Scenario& scenario, const scenario::Names& names, Gpa kernel_state, Symbolise symbolise);

    /// Keeps the last `moments` stops for timeline().
    void record(std::size_t moments) { recording_ = moments; }
    /// What was recorded; moves it out.
    [[nodiscard]] Timeline take_timeline();

    bool at_stop(const engine::Stop& stop) override;
    bool at_expect(std::size_t predicate, const engine::Stop& stop) override;
    void at_end(const engine::Stop& stop, engine::Ending ending) override;

    /// The violation the scenario is about has been seen.
    [[nodiscard]] bool expected_seen() const { return expected_seen_; }
    /// Why the run failed, empty when it did not.
    [[nodiscard]] const std::string& failure() const { return failure_; }
    [[nodiscard]] const std::vector<ViolationReport>& violations() const { return violations_; }
    /// The one of them that ended the run; null when it goes on, or ended by something else.
    [[nodiscard]] const ViolationReport* ended_by() const;
    /// Ids that fired or were noted on the way.
    [[nodiscard]] bool has_fired(const std::string& id) const;
    /// A `sometimes` that was never true; nothing when all were.
    [[nodiscard]] std::optional<std::string> never_true() const;
    /// Evaluates the `finally` predicates at the last stop; the text of the first that does not hold.
    [[nodiscard]] std::optional<std::string> finally_broken() const;
    /// The last stop; `everything`: every thread page by page, not only those concerned.
    [[nodiscard]] std::string picture(std::span<const oracle::ThreadId> focus, bool everything) const;
    [[nodiscard]] const oracle::Oracle& oracle() const { return oracle_; }
    /// "cpu0 thread B enter_from_user_mode+0x2e", at the last stop.
    [[nodiscard]] std::string where() const;

    /// The registers of a CPU at a stop, for comparison with those at its next.
    struct Before {
        engine::CpuState cpu;
        std::uint64_t stop = 0;  ///< 0: there was none
    };

    /// What belongs to a snapshot of the guest: the oracle's model and what this run has shown so far. Which `sometimes` were
    /// ever true is none of it: that goes on over all runs watched.
    struct State {
        oracle::Oracle::State oracle;
        std::vector<ViolationReport> violations;
        std::string failure;
        bool expected_seen = false;
        bool booted = false;
        std::vector<Before> before;
    };
    [[nodiscard]] State save() const { return {oracle_.save(), violations_, failure_, expected_seen_, booted_, before_}; }
    void restore(const State& state);
    /// Whether the same future would be judged alike. Counts of marks matter only to a scenario whose predicates ask for them.
    [[nodiscard]] bool same_future(const State& state) const;

  private:
    [[nodiscard]] std::int64_t read(const scenario::Fact& fact) const;
    [[nodiscard]] std::string values_of(const scenario::CheckedPredicate& predicate) const;
    [[nodiscard]] bool holds(const scenario::CheckedPredicate& predicate) const;
    [[nodiscard]] const ViolationReport* report_of(const std::string& id) const;
    [[nodiscard]] bool take(const oracle::Violation& violation);
    void remember(const engine::Stop& stop, std::span<const oracle::Violation> violations);

    const scenario::Scenario& scenario_;
    const scenario::Names& names_;
    Symbolise symbolise_;
    oracle::Oracle oracle_;
    std::vector<bool> sometimes_;
    std::vector<ViolationReport> violations_;
    std::string ended_by_;
    std::vector<Before> before_;  // by CPU, its last stop but this
    std::deque<oracle::Moment> moments_;
    std::size_t recording_ = 0;
    std::uint64_t left_out_ = 0;
    std::string failure_;
    bool expected_seen_ = false;
    bool booted_ = false;
    std::set<abi::Mark> counted_;  // marks of which some predicate asks how often they were seen
};

}  // namespace stackrig::explore
