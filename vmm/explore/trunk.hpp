// The trunk of an exploration: the scenario's own run, walked once by single instructions, every boundary of it kept.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "vmm/engine/session.hpp"
#include "vmm/explore/flush_counts.hpp"
#include "vmm/explore/single.hpp"
#include "vmm/explore/watch.hpp"
#include "vmm/machine/snapshot.hpp"

namespace stackrig::explore {

/// The scenario up to one boundary: machine, run, and what the oracle knows.
struct Moment {
    machine::Snapshot machine;
    engine::Session::State run;
    std::shared_ptr<const Watch::State> watch;  // shared by the boundaries between two stops
};

struct Boundary {
    Moment moment;
    CpuId cpu;
    std::uint32_t thread = 0;      ///< guest thread id of whom the CPU runs
    Gva rip;
    std::string function;          ///< of the guest that `rip` lies in; the bare address where there is none
    std::uint32_t occurrence = 1;  ///< how often `thread` was here, from the end of boot on, counting this time
    bool user_mode = false;
    bool after_stop = false;       ///< the step before it showed a stop: a free run comes by here
    std::uint32_t mapped = 0;      ///< pages of the thread's stack that are mapped, as of the last stop
};

/// How often each place has been passed since the end of boot.
class Visits {
  public:
    explicit Visits(std::uint32_t cpus) : cpus_(cpus) {}
    /// Counts this one. An idle thread has no name, and a place without a thread counts everybody's visits.
    std::uint32_t note(std::uint32_t thread, Gva rip);

  private:
    std::uint32_t cpus_;  // as many threads are idle ones
    std::map<std::pair<std::uint32_t, Gva>, std::uint32_t> of_thread_;
    std::map<Gva, std::uint32_t> of_all_;
};

/// What a virtual host has memory for: some 3 KiB are kept of each.
inline constexpr std::size_t most_boundaries = 100'000;

/// A place by which a boundary can be found again in another run.
[[nodiscard]] engine::Place place_of(const Boundary& boundary, const engine::RunPlan& plan);

/// Equal for runs whose active CPU has equal general registers in the same step.
[[nodiscard]] std::uint64_t registers_key(const engine::Session::State& run);

class Trunk {
  public:
    /// Boots, walks the schedule to its end, and keeps all that restoring needs. Errors: the host's or the rig's; usage when the run
    /// has more than `most` boundaries.
    static Result<std::unique_ptr<Trunk>> walk(const Bench& bench, const scenario::Scenario& scenario, std::size_t most = most_boundaries);

    [[nodiscard]] const std::deque<Boundary>& boundaries() const { return boundaries_; }
    /// How the scenario itself ended.
    [[nodiscard]] const engine::RunOutcome& outcome() const { return outcome_; }

    /// Back to a boundary.
    [[nodiscard]] Result<void> restore(const Moment& moment);
    /// Here and now, at a poised boundary of whatever run the session makes. `after_stop`: a stop was shown since the last
    /// here(), or the run is another one. The occurrence is left to the caller.
    [[nodiscard]] Result<Boundary> here(bool after_stop);
    /// The boundary of the trunk where the run stands as the trunk stood there, so that both have one future; called where a
    /// stop has just been shown. Differences in what is declared dead (see ignored()) do not count.
    [[nodiscard]] Result<std::optional<std::size_t>> rejoined();
    /// What rejoined() leaves out of the comparison, one sentence each.
    [[nodiscard]] static std::vector<std::string> ignored();

    [[nodiscard]] engine::Session& session() { return *session_; }
    [[nodiscard]] Watch& watch() { return *watch_; }
    [[nodiscard]] machine::Snapshots& snapshots() { return *snapshots_; }
    [[nodiscard]] const scenario::Scenario& scenario() const { return scenario_; }
    [[nodiscard]] const Bench& bench() const { return bench_; }
    [[nodiscard]] const scenario::Names& names() const { return names_; }

  private:
    Trunk(const Bench& bench, const scenario::Scenario& scenario);
    Result<void> boot();
    Result<void> step_through(std::size_t most);
    [[nodiscard]] Result<bool> same_machine(const machine::Snapshot& there);
    [[nodiscard]] Result<bool> same_memory(const machine::Snapshot& there);
    [[nodiscard]] bool same_page(Pfn page, std::span<const std::byte> is, std::span<const std::byte> was) const;
    [[nodiscard]] bool same_unseen(const machine::Snapshot& there) const;
    [[nodiscard]] std::size_t alive_from(Pfn page) const;

    const Bench& bench_;
    const scenario::Scenario& scenario_;
    GuestSymbols symbols_;
    scenario::Names names_;
    std::unique_ptr<Watch> watch_;
    std::unique_ptr<engine::Session> session_;
    std::unique_ptr<machine::Snapshots> snapshots_;
    std::deque<Boundary> boundaries_;  // a vector would hold them twice while it grows
    std::shared_ptr<const Watch::State> watch_state_;
    std::unordered_map<std::uint64_t, std::vector<std::size_t>> by_registers_;
    engine::RunOutcome outcome_;
    FlushCounts flush_counts_;
    struct CpuStackPage {
        CpuId cpu;
        abi::CpuStack stack;
        Gva base;
    };
    std::unordered_map<std::uint32_t, CpuStackPage> cpu_stacks_;  // by frame number
};

}  // namespace stackrig::explore
