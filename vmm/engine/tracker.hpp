// Follows a run through its marks: who runs, who sleeps, who is dead; answers the guest's choice points; tells
// whether a place is reached. Pure: no KVM, no guest memory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "guest/abi/ports.hpp"
#include "vmm/engine/plan.hpp"
#include "vmm/engine/stop.hpp"

namespace stackrig::engine {

/// Guest thread ids: the idle threads come first, one per CPU, then the plan's threads in order.
[[nodiscard]] constexpr std::uint32_t guest_id(const GuestPlan& guest, ThreadIndex index) {
    return guest.cpus + static_cast<std::uint32_t>(index);
}

class Tracker {
  public:
    explicit Tracker(const RunPlan& plan);

    /// Takes in what happened on `cpu`.
    void observe(CpuId cpu, const StopCause& cause);

    /// The guest thread `cpu` runs, by the last `switched` mark.
    [[nodiscard]] std::uint32_t current(CpuId cpu) const { return current_[cpu.value()]; }
    [[nodiscard]] bool can_run(std::uint32_t thread) const;
    /// Blocked, and another thread has the CPU.
    [[nodiscard]] bool is_asleep(std::uint32_t thread) const;
    [[nodiscard]] bool is_gone(std::uint32_t thread) const;

    // --- choice points ---
    void prefer(std::optional<ThreadIndex> thread) { preferred_ = thread; }
    void set_alloc_policy(AllocPolicy policy) { alloc_ = policy; }
    /// The next timer tick answers "reschedule".
    void want_resched() { want_resched_ = true; }
    [[nodiscard]] std::uint32_t answer(abi::Choice choice, std::uint64_t a, std::uint64_t b);

    // --- places ---
    /// Starts counting occurrences of `place` anew; `addresses` are the breakpoints that make it. True when the place holds
    /// already (a thread that sleeps or is gone).
    [[nodiscard]] bool begin(const Place& place, std::vector<Gva> addresses = {});
    /// Until the next begin() there is no place, and nothing to count.
    void seek_nothing();
    /// Whether the last observed stop is the place. `breakpoint`: the address of the breakpoint that made the stop.
    [[nodiscard]] bool reached(CpuId cpu, const StopCause& cause, std::optional<Gva> breakpoint);

    /// Nothing more happens on `cpu` without an event: it idles, its thread has spun twice in user mode undisturbed, or it is
    /// not up.
    [[nodiscard]] bool quiet(CpuId cpu) const { return activity_[cpu.value()].quiet || is_down(cpu); }
    /// Not started yet, or taken down.
    [[nodiscard]] bool is_down(CpuId cpu) const { return down_[cpu.value()]; }
    /// `cpu` can do nothing until another CPU acts: its last stops were nothing but that.
    [[nodiscard]] bool relaxing(CpuId cpu) const { return activity_[cpu.value()].relaxing; }
    /// Whatever it was seen doing, it may do something else now.
    void disturb(CpuId cpu) { activity_[cpu.value()] = {}; }
    void start(CpuId cpu) { down_[cpu.value()] = false; }
    /// The CPU that runs the thread, or will.
    [[nodiscard]] CpuId home(ThreadIndex thread) const { return homes_[guest_id(plan_->guest, thread)]; }
    /// Whether both would answer and count alike from here on, in the same step of the same plan.
    bool operator==(const Tracker& other) const {
        return current_ == other.current_ && states_ == other.states_ && homes_ == other.homes_ && down_ == other.down_ &&
               activity_ == other.activity_ && preferred_ == other.preferred_ && alloc_ == other.alloc_ &&
               want_resched_ == other.want_resched_ && seen_ == other.seen_;
    }
    /// "A" or "idle" or "thread 7".
    [[nodiscard]] std::string name(std::uint32_t thread) const;

  private:
    enum class State { unborn, runnable, blocked, asleep, dead, gone };

    void observe_mark(CpuId cpu, const MarkStop& mark);
    [[nodiscard]] bool concerns(const Place& place, CpuId cpu, std::optional<std::uint32_t> subject) const;
    [[nodiscard]] bool matches(const Place& place, CpuId cpu, const StopCause& cause, std::optional<Gva> breakpoint) const;

    const RunPlan* plan_;
    /// What a CPU did at its last stops.
    struct Activity {
        bool quiet = false;
        bool spun = false;
        bool relaxing = false;
        bool operator==(const Activity&) const = default;
    };
    std::vector<Activity> activity_;
    std::vector<bool> down_;
    std::vector<std::uint32_t> current_;
    std::vector<State> states_;
    std::vector<CpuId> homes_;
    std::optional<ThreadIndex> preferred_;
    AllocPolicy alloc_;
    bool want_resched_ = false;
    std::optional<Place> place_;
    std::vector<Gva> addresses_;
    std::uint32_t seen_ = 0;
};

}  // namespace stackrig::engine
