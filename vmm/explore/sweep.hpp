// The sweep: every event at every boundary of a window, one at a time, and every single failing allocation.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "vmm/explore/sweep_result.hpp"
#include "vmm/explore/trunk.hpp"
#include "vmm/explore/verdict.hpp"

namespace stackrig::explore {

/// Self-checks, for tests and for 1 run in so many.
struct SweepChecks {
    /// After each restore all RAM and all registers are compared.
    bool verify_restores = false;
    /// Every so-manieth branch is run again from boot in a fresh VM and must give the same trace; 0: never.
    std::uint64_t repeat_every = 256;
};

class Sweep {
  public:
    /// Walks the trunk. Errors: the host's or the rig's; usage when the scenario alone does not end as it should.
    static Result<std::unique_ptr<Sweep>> prepare(const Bench& bench, const scenario::Scenario& scenario, const engine::SweepPlan& plan,
                                                  const SweepChecks& checks);

    [[nodiscard]] std::uint64_t boundaries() const { return trunk_->boundaries().size(); }
    /// All placements at the boundaries [first, first + count).
    [[nodiscard]] Result<SweepResult> run(std::uint64_t first, std::uint64_t count);
    /// `runs` random placements out of the stream that `seed` names, half of them with a second event up to 24 stops later.
    [[nodiscard]] Result<SweepResult> sample(std::uint64_t seed, std::uint64_t runs);
    [[nodiscard]] Trunk& trunk() { return *trunk_; }

  private:
    Sweep(std::unique_ptr<Trunk> trunk, engine::SweepPlan plan, SweepChecks checks);

    /// An event that comes while the first one is being handled, or after it.
    struct Second {
        engine::Event event;
        std::uint64_t stops_before = 0;  ///< after the first one, still to be shown
        std::uint64_t refusals = 0;      ///< places that would not take it
    };

    [[nodiscard]] bool in_window(const Boundary& boundary) const;
    [[nodiscard]] Result<void> sweep_boundary(std::size_t index, SweepResult& result);
    [[nodiscard]] Result<void> sweep_allocation(std::size_t index, SweepResult& result);
    [[nodiscard]] Result<void> place(std::size_t index, const engine::Decision& decision, const std::optional<Second>& second, Cell& cell,
                                     SweepResult& result);
    [[nodiscard]] Result<bool> placed(Second& second);
    [[nodiscard]] std::optional<std::string> not_applicable(const Boundary& boundary, const engine::Event& event) const;
    [[nodiscard]] bool handles_debug(const Boundary& boundary) const;
    [[nodiscard]] Result<void> restore(const Boundary& boundary);
    [[nodiscard]] Result<Showing> branch(std::optional<Second> second, SweepResult& result);
    [[nodiscard]] Result<void> repeat(const engine::Decision& decision);
    static void count(const Showing& ended, Cell& cell);
    void record(Showing ended, std::size_t index, const engine::Decision& decision, SweepResult& result);

    std::unique_ptr<Trunk> trunk_;
    engine::SweepPlan plan_;
    SweepChecks checks_;
    std::uint64_t branches_ = 0;
    double trunk_seconds_ = 0;
};

}  // namespace stackrig::explore
