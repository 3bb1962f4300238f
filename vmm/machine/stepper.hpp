// Stepper: one instruction at a time, stopping at every boundary, also at those where the trap flag alone would not.
#pragma once

#include <chrono>
#include <optional>
#include <variant>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/exit.hpp"
#include "vmm/machine/address_space.hpp"
#include "vmm/machine/entries.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/x86/decode.hpp"

namespace stackrig::machine {

/// The instruction is over; of a REP string instruction, one iteration.
struct Retired {};
/// Instead of, or by, the instruction the CPU took an event: it stands at the handler's first instruction, RSP at the frame.
struct Entered {
    Vector vector{0};
};
/// HLT was executed; RIP is behind it.
struct Halted {};
/// A KVM exit on the way. IoOut: the OUT is over. IoIn: answer it with complete_io_in(), then the IN is over. Everything else
/// is for the caller to judge; the instruction has not run.
struct Exited {
    kvm::Exit exit;
};

struct StepStop {
    std::variant<Retired, Entered, Halted, Exited> what;
    Gva from;                      ///< the boundary before the step
    Gva rip;                       ///< the boundary now
    x86::Instruction instruction;  ///< at `from`; length 0 when its bytes are not mapped or are no instruction
    /// The host ran on over at least one boundary: straight code, and RIP is not behind the instruction. Such a boundary is
    /// uncovered.
    bool skipped = false;
};

/// How the step over an instruction is made to end at the next boundary (HOSTS: exact stepping).
enum class StepRule {
    trap,              ///< RFLAGS.TF, by KVM_GUESTDBG_SINGLESTEP
    trap_store_flags,  ///< the same; the stored RFLAGS must not show TF
    trap_load_flags,   ///< the same; a TF that the guest loads is the guest's own
    trap_sysret,       ///< the same; and TF in R11, for RFLAGS comes from there
    fence,             ///< a HLT behind it; the interrupt shadow it opens is set again
    free,              ///< no help: it ends at a trapped entry, or leaves the guest by itself
};

/// The rule for an instruction at this privilege level. With the guest's own TF set each instruction ends in #DB anyway.
[[nodiscard]] StepRule step_rule(x86::InstructionClass kind, unsigned cpl, bool own_trap_flag);

/// While it lives, every entry of the kernel is trapped (EntryTraps): do not run the CPU but by step() and deliver().
class Stepper {
  public:
    /// Reads the IDT and the entry MSRs as they are now. LIDT and WRMSR that it steps over are noticed; a gate that the guest
    /// writes later is not: make a new Stepper then.
    static Result<Stepper> create(Machine& machine, CpuId cpu);

    /// One step. Errors: those of KVM, and guest when the instruction behind a STI or MOV SS is not mapped.
    [[nodiscard]] Result<StepStop> step(std::chrono::milliseconds budget);

  private:
    struct Before;
    Stepper(Machine& machine, CpuId cpu, EntryTraps traps) : machine_(machine), cpu_(cpu), traps_(std::move(traps)) {}
    [[nodiscard]] Result<Before> look() const;
    [[nodiscard]] Result<kvm::Exit> run(const Before& before, std::chrono::milliseconds budget);
    [[nodiscard]] Result<StepStop> stop_at(const Before& before, kvm::Exit exit);
    [[nodiscard]] Result<StepStop> stop_at_hlt(const Before& before, kvm::Regs regs, StepStop stop);
    [[nodiscard]] Result<void> reach_fence(const Before& before, kvm::Regs regs);
    [[nodiscard]] Result<void> clean_up(const Before& before, const StepStop& stop);

    Machine& machine_;
    CpuId cpu_;
    EntryTraps traps_;
};

}  // namespace stackrig::machine
