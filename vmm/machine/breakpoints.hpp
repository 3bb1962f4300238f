// Running until one of a set of kernel addresses is the next instruction: HLT patches, stepped over when they
// are here.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/exit.hpp"
#include "vmm/machine/machine.hpp"

namespace stackrig::machine {

struct BreakpointStop {
    kvm::Exit exit;          ///< meaningless when `hit` is set
    std::optional<Gva> hit;  ///< RIP is this address, the instruction has not run
};

/// Kernel text only: in ring 3 a HLT is #GP.
class Breakpoints {
  public:
    /// Where the exit that ended the last run() left the CPU; a breakpoint there has not been hit yet.
    struct Arrival {
        std::optional<Gva> at;
        std::optional<Gva> answered_in;  ///< instead: an IN here, which its answer finishes
        /// Whether a CPU that stands at `rip` got there by that exit.
        [[nodiscard]] bool news(Gva rip) const;
        bool operator==(const Arrival&) const = default;
    };

    explicit Breakpoints(Machine& machine) : machine_(machine) {}
    ~Breakpoints() { (void)clear(); }
    Breakpoints(const Breakpoints&) = delete;
    Breakpoints& operator=(const Breakpoints&) = delete;

    /// At these addresses and nowhere else. What was hit last is forgotten.
    [[nodiscard]] Result<void> set_only(std::vector<Gva> addresses);
    [[nodiscard]] Result<void> clear() { return set_only({}); }
    /// As Vcpu::run(), but a breakpoint ends it too. One that RIP stood at when it was set, or that was hit
    /// last, is stepped off, not hit again; one that an exit of the run before happened to end at (the
    /// instruction behind an OUT) is hit.
    [[nodiscard]] Result<BreakpointStop> run(CpuId cpu, std::chrono::milliseconds budget);
    /// The same where an event is queued that the CPU takes before anything else: a breakpoint at RIP is left behind, and hit when the
    /// handler returns to it.
    [[nodiscard]] Result<BreakpointStop> run_into_event(CpuId cpu, std::chrono::milliseconds budget);

    [[nodiscard]] bool at(Gva address) const;
    /// For whoever moves the CPU by other means than run(): a snapshot restored, an instruction stepped.
    [[nodiscard]] const Arrival& arrival() const { return arrival_; }
    void set_arrival(const Arrival& arrival) { arrival_ = arrival; }

  private:
    [[nodiscard]] Result<void> remember(const kvm::Vcpu& vcpu, const kvm::Exit& exit,
                                        std::optional<Gva> left_from);
    [[nodiscard]] Result<BreakpointStop> enter(CpuId cpu, std::chrono::milliseconds budget);
    [[nodiscard]] Result<std::optional<kvm::Exit>> step_off(CpuId cpu, std::chrono::milliseconds budget);

    Machine& machine_;
    std::vector<Gva> addresses_;  // in order
    Arrival arrival_;
};

}  // namespace stackrig::machine
