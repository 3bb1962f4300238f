// Running until one of a set of kernel addresses is the next instruction: HLT patches, stepped over when they are here.
#pragma once

#include <chrono>
#include <optional>
#include <set>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/exit.hpp"
#include "vmm/machine/machine.hpp"

namespace stackrig::machine {

struct BreakpointStop {
    kvm::Exit exit;           ///< meaningless when `hit` is set
    std::optional<Gva> hit;   ///< RIP is this address, the instruction has not run
};

/// Kernel text only: in ring 3 a HLT is #GP.
class Breakpoints {
  public:
    explicit Breakpoints(Machine& machine) : machine_(machine) {}
    ~Breakpoints() { (void)clear(); }
    Breakpoints(const Breakpoints&) = delete;
    Breakpoints& operator=(const Breakpoints&) = delete;

    [[nodiscard]] Result<void> set(Gva address);
    [[nodiscard]] Result<void> clear();
    /// As Vcpu::run(), but a breakpoint ends it too. One that RIP stands at already is stepped over, not hit again.
    [[nodiscard]] Result<BreakpointStop> run(CpuId cpu, std::chrono::milliseconds budget);

  private:
    [[nodiscard]] Result<std::optional<kvm::Exit>> step_over(kvm::Vcpu& vcpu, std::chrono::milliseconds budget);

    Machine& machine_;
    std::set<Gva> addresses_;
};

}  // namespace stackrig::machine
