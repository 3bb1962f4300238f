// The observer of a scenario's run: lets the oracle look, evaluates the predicates, decides when enough is seen.
#pragma once

#include <deque>
#include <functional>
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
    /// Ids that fired or were noted on the way.
    [[nodiscard]] bool has_fired(const std::string& id) const;
    /// A `sometimes` that was never true; nothing when all were.
    [[nodiscard]] std::optional<std::string> never_true() const;
    /// Evaluates the `finally` predicates at the last stop; the text of the first that does not hold.
    [[nodiscard]] std::optional<std::string> finally_broken() const;
    /// The last stop; `everything`: every thread page by page, not only those concerned.
    [[nodiscard]] std::string picture(std::span<const oracle::ThreadId> focus, bool everything) const;
    [[nodiscard]] const oracle::Oracle& oracle() const { return oracle_; }

  private:
    [[nodiscard]] std::int64_t read(const scenario::Fact& fact) const;
    [[nodiscard]] bool holds(const scenario::CheckedPredicate& predicate) const;
    [[nodiscard]] bool take(const oracle::Violation& violation);
    void remember(const engine::Stop& stop, std::span<const oracle::Violation> violations);
    [[nodiscard]] std::string where() const;

    const scenario::Scenario& scenario_;
    const scenario::Names& names_;
    Symbolise symbolise_;
    oracle::Oracle oracle_;
    std::vector<bool> sometimes_;
    std::vector<ViolationReport> violations_;
    struct Before {
        engine::CpuState cpu;
        std::uint64_t stop = 0;
    };
    std::vector<Before> before_;  // by CPU, its last stop but this
    std::deque<oracle::Moment> moments_;
    std::size_t recording_ = 0;
    std::uint64_t left_out_ = 0;
    std::string failure_;
    bool expected_seen_ = false;
    bool booted_ = false;
};

}  // namespace stackrig::explore
