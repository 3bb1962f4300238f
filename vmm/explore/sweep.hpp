// The sweep: every event at every boundary of a window, alone or in ordered pairs, and every failing allocation.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "guest/abi/layout.hpp"
#include "vmm/explore/sweep_result.hpp"
#include "vmm/explore/trunk.hpp"
#include "vmm/explore/verdict.hpp"

namespace stackrig::explore {

/// What a boundary is to `fast` pairs: who runs which function, in which mode, with IF and the NMI mask how, with how many pages
/// mapped. Two boundaries alike in this need not be alike in anything else.
[[nodiscard]] std::string situation(const Boundary& boundary);

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

    /// Something to put at a boundary, and the word for it in the coverage. The sentence for it is made when somebody asks: few do.
    struct Placement {
        const Boundary* at;
        std::variant<const engine::Event*, engine::FailAllocation> what;
        std::string word;
    };
    /// A CPU between two instructions, as far as it decides what can be put there.
    struct Standing {
        const machine::CpuSnapshot& state;
        CpuId cpu;
        const std::string& function;
        [[nodiscard]] bool user_mode() const { return (state.sregs.cs.selector & 3) == 3; }
    };
    [[nodiscard]] static Standing standing_at(const Boundary& boundary) { return {boundary.moment.machine.cpu(boundary.cpu), boundary.cpu, boundary.function}; }
    /// The run behind a first placement, by single instructions.
    struct Way {
        std::vector<Boundary> boundaries;
        std::optional<std::size_t> rejoined;  ///< the trunk, where it stood then
    };

    [[nodiscard]] bool in_window(const Boundary& boundary) const;
    [[nodiscard]] Result<void> sweep_boundary(std::size_t index, SweepResult& result);
    [[nodiscard]] std::vector<Placement> placements(const Boundary& here, const Boundary* next, const std::string& after, SweepResult& result) const;
    [[nodiscard]] std::optional<engine::FailAllocation> asked_here(const Boundary& here, const Boundary* next) const;
    [[nodiscard]] std::map<std::string, Cell>& cells_at(const Boundary& boundary, SweepResult& result) const;
    [[nodiscard]] engine::Decision decision_for(const Placement& placement) const;
    [[nodiscard]] Result<void> apply(const Placement& placement);
    /// On the trunk or behind `index` of it, the last of `placements`; the others have been put on the way there.
    [[nodiscard]] Result<Showing::How> place(std::size_t index, std::span<const Placement> placements, const std::optional<Second>& second,
                                             Cell& cell, SweepResult& result);
    [[nodiscard]] Result<bool> placed(Second& second);
    [[nodiscard]] std::optional<std::string> not_applicable(const Standing& at, const engine::Event& event) const;
    [[nodiscard]] static bool handles(const Standing& at, abi::CpuStack stack, const std::string& handler);
    [[nodiscard]] Result<void> restore(const Boundary& boundary);
    [[nodiscard]] Result<Showing> follow(const Placement& placement, const std::optional<Second>& second, SweepResult& result);
    [[nodiscard]] Result<Showing> branch(std::optional<Second> second, SweepResult& result);
    [[nodiscard]] std::string events_behind(const Placement& first);
    [[nodiscard]] Result<void> repeat(std::span<const Placement> placements);
    static void count(Showing::How how, Cell& cell);
    void record(Finding shown, std::size_t index, std::span<const Placement> placements, SweepResult& result);

    // sample.cpp
    struct Drawn {
        std::size_t boundary;
        engine::Event first;
        std::optional<Second> second;
    };
    [[nodiscard]] std::vector<Drawn> draw(std::uint64_t seed, std::uint64_t runs) const;

    // pairs.cpp
    void prepare_pairs();
    [[nodiscard]] Result<void> seconds(std::size_t index, const Placement& first, Showing::How how, SweepResult& result);
    [[nodiscard]] Result<Way> walk_on(std::size_t index, const Placement& first);

    std::unique_ptr<Trunk> trunk_;
    engine::SweepPlan plan_;
    SweepChecks checks_;
    std::uint64_t branches_ = 0;
    double trunk_seconds_ = 0;
    // for pairs
    std::vector<std::uint64_t> singles_from_;  // by boundary: single placements there and behind
    std::vector<bool> alike_;                  // by boundary: its situation has come before
    Visits visits_;                            // of the trunk's first visited_ boundaries
    std::size_t visited_ = 0;
};

}  // namespace stackrig::explore
