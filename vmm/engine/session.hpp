// A run that can be walked: from stop to stop or from boundary to boundary, saved on the way, put back, and gone on with.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/engine/runner.hpp"
#include "vmm/engine/trace.hpp"
#include "vmm/engine/tracker.hpp"
#include "vmm/machine/breakpoints.hpp"
#include "vmm/machine/foresee.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/machine/stepper.hpp"

namespace stackrig::engine {

/// The loop of a run is `while (poise()) go();`. Whoever takes snapshots of the machine takes state() with each, at a poised
/// moment, and restores both.
class Session {
  public:
    /// Where interrupted kernel code will go on.
    struct Return {
        Gva rip;
        Gva rsp;
        bool operator==(const Return&) const = default;
    };

    /// Everything about a run that is not in the machine.
    struct State {
        std::size_t step = 0;        // schedule step being executed
        bool booting = true;         // the guest has not raised boot.done yet; no step has begun
        bool begun = false;          // the current step
        bool chosen = false;         // the CPU that runs up to the next stop
        bool reached = false;        // the step's place, by the last stop
        CpuId active;                // the CPU that runs
        unsigned fruitless = 0;      // stops in a row at which CPUs only waited for each other
        Tracker tracker;
        TraceHash trace;
        std::vector<CpuState> cpus;
        StopCause last_cause = HaltStop{};
        std::vector<std::vector<Event>> pending_irqs;  // per CPU: wait until it takes interrupts
        std::vector<Gva> places;                       // addresses that make the step's place
        machine::Breakpoints::Arrival arrival;
        std::optional<Invalidation> invalidated;  // by the last instruction, not shown yet; where every one is looked at
        bool fresh = true;                       // the boundary has not been compared with the decisions yet
        std::vector<std::uint32_t> arrivals;     // per decision: how often its boundary was reached
        std::vector<bool> taken;                 // per decision
        std::vector<std::uint32_t> allocations;  // asked for since the end of boot, per guest thread id
        std::vector<FailAllocation> failures;    // besides the plan's
        RunOutcome outcome;
        std::vector<Return> returns;  // that injected events owe to the kernel code they interrupted, the latest last
        bool over = false;

        /// Whether two runs that stand so, on equal machines, have the same future. Left out: the trace behind them, the number
        /// of stops (a budget), and what decisions and landings they have had.
        [[nodiscard]] bool same_future(const State& other) const;

      private:
        /// The CPU has just come to an address of the step's place, by an exit that shows something else.
        [[nodiscard]] bool stands_on_place() const;
    };

    /// Of a fresh machine. `plan`, `observer` and `guest` must outlive it.
    static Result<std::unique_ptr<Session>> create(const kvm::System& system, const x86::Elf& guest, const RunPlan& plan,
                                                   Observer& observer, const RunOptions& options);

    /// Carries out everything that needs no instruction of the guest: steps that inject, expect or set a policy, decisions that
    /// are due here, choosing the CPU. True: the guest is about to be entered; false: the run is over.
    [[nodiscard]] Result<bool> poise();
    /// Enters the guest up to the next stop, or shorter.
    [[nodiscard]] Result<void> go();
    /// Executes one instruction. Stops are shown where go() would show them and nowhere else.
    [[nodiscard]] Result<void> step();
    /// From step() back to go(): the entries of the kernel are no longer trapped.
    void stop_stepping();

    /// Why `event` cannot be put here, or nothing. Poised.
    [[nodiscard]] Result<std::optional<std::string>> refusal(const Event& event);
    /// Puts an event here, as a decision would. Poised, and not refused.
    [[nodiscard]] Result<void> inject_here(const Event& event);
    /// The same without stopping at the handler's first instruction, for whoever goes on by poise() and go(): the landing is shown as it
    /// will be, and the next go() proves it. False: nothing was done, since only inject_here() can tell where the event will land.
    [[nodiscard]] Result<bool> inject_foreseen(const Event& event);
    /// Whether such a landing is not proved, yet or, once the run is over, at all: then the run must be made again with inject_here().
    [[nodiscard]] bool unproved() const { return foresight_.has_value(); }

    /// From here on this allocation fails too, as by a decision of the plan. Part of the state.
    void fail_allocation(const FailAllocation& failure) { now_.failures.push_back(failure); }

    [[nodiscard]] const State& state() const { return now_; }
    /// The machine must have been restored to where `state` was taken.
    [[nodiscard]] Result<void> restore(const State& state);

    /// Ends the run, however far it has come. The last call.
    [[nodiscard]] RunOutcome finish();

    [[nodiscard]] machine::Machine& machine() { return *machine_; }

  private:
    Session(const x86::Elf& guest, const RunPlan& plan, Observer& observer, RunOptions options,
            std::unique_ptr<machine::Machine> machine);

    // session.cpp: steps and places
    [[nodiscard]] const Step* current_step() const;
    Result<void> begin_step(const Step& step);
    Result<void> begin_run(const RunUntil& run);
    void end_step();
    Result<bool> proceed(const Step& step);
    bool choose_cpu(CpuId focus);
    [[nodiscard]] bool can_act(CpuId cpu) const { return !now_.tracker.quiet(cpu) || !now_.pending_irqs[cpu.value()].empty(); }
    void give_up();
    [[nodiscard]] CpuId focus_of(const RunUntil& run) const;
    Result<std::vector<Gva>> addresses_of(const Place& place) const;
    Result<void> arm();
    Result<void> look_for(const Place& place);
    Result<void> on_stop(const machine::BreakpointStop& stop, bool stood);
    [[nodiscard]] bool is_place(Gva address) const;
    [[nodiscard]] bool stepping() const;
    [[nodiscard]] bool checks_every_instruction() const { return plan_.check_every_instruction && !now_.booting; }
    void cannot_be_reached(const RunUntil& run);

    // session_stops.cpp: what exits mean
    Result<void> on_exit(const kvm::Exit& exit);
    Result<void> on_out(const kvm::IoOut& out);
    Result<void> on_ipi(const kvm::IoOut& out);
    Result<void> on_in();
    Result<void> open_window();
    Result<bool> take_pending_irq(bool window);
    [[nodiscard]] Result<bool> irq_held_back_by_shadow() const;
    Result<void> on_window();
    Result<void> step_over();
    Result<void> show(StopCause cause, std::optional<Gva> breakpoint = std::nullopt);
    Result<void> show_as_read(StopCause cause, std::optional<Gva> breakpoint = std::nullopt);
    Result<void> refresh();
    Result<bool> show_return();
    [[nodiscard]] Stop last_stop() const;
    [[nodiscard]] const CpuState& here() const { return now_.cpus[now_.active.value()]; }
    [[nodiscard]] std::string guest_text(const CpuState& cpu) const;
    void end(RunEnd how, std::string detail);

    // session_events.cpp: events and decisions
    Result<void> inject(const Inject& step);
    Result<void> inject_native(const Event& event, CpuId cpu);
    Result<void> steer_thread(const Event& event, ThreadIndex thread);
    Result<void> deliver(const Event& event);
    Result<void> note_landing(const Event& event, const CpuState& from, const machine::Landing& landing);
    [[nodiscard]] std::optional<std::size_t> arrive();
    Result<void> take(std::size_t decision);
    [[nodiscard]] bool fails_by_decision(std::uint32_t thread);
    [[nodiscard]] bool decides_in_user_mode() const;
    [[nodiscard]] std::vector<Gva> decision_addresses() const;

    // session_foreseen.cpp: landings that are shown before they are proved
    [[nodiscard]] bool goes_on_itself() const;
    [[nodiscard]] Result<void> nothing_on_its_way() const;
    Result<void> go_as_foreseen();

    const x86::Elf& guest_;
    const RunPlan& plan_;
    Observer& observer_;
    RunOptions options_;
    std::unique_ptr<machine::Machine> machine_;
    machine::Breakpoints breakpoints_;
    std::vector<std::optional<machine::Stepper>> steppers_;  // one per CPU, while it is stepped
    Step boot_step_;
    std::optional<Tracker> looker_;  // for RunOptions::look_at, independent of the steps
    std::vector<Gva> look_addresses_;
    std::optional<machine::Foresight> foresight_;
    State now_;
};

}  // namespace stackrig::engine
