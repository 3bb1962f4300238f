// The exact stepper: one instruction boundary at a time, through everything that makes TF lose its way.
#pragma once

#include <chrono>
#include <variant>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/exit.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/x86/decode.hpp"

namespace stackrig::machine {

/// The CPU stands at the next boundary.
struct Stepped {};
/// An exception or interrupt was taken instead; the CPU stands at the first instruction of its handler.
struct Trapped {
    Vector vector;
};
using StepResult = std::variant<Stepped, Trapped, kvm::Exit>;  ///< Exit: I/O of the instruction (its end is the boundary), or HLT

/// Steps one vCPU. While it lives, a HLT covers the first byte of every handler in the guest's IDT and of the SYSCALL entries:
/// whatever leaves the path is caught at its first instruction. KVM's single-step is RFLAGS.TF underneath, so instructions
/// that save, load or mask RFLAGS, or shadow the trap, are handled by class (APM 2 13.1.4; SDM 17.3.1.4).
class Stepper {
  public:
    /// Reads IDT, LSTAR and CSTAR as they are now: the guest has set them up and does not change them.
    static Result<std::unique_ptr<Stepper>> create(Machine& machine, CpuId cpu);
    ~Stepper();
    Stepper(const Stepper&) = delete;
    Stepper& operator=(const Stepper&) = delete;

    [[nodiscard]] Result<StepResult> step(std::chrono::milliseconds budget);

  private:
    struct Handler {
        Gva address;
        std::optional<Vector> vector;  ///< none: a SYSCALL entry
    };
    Stepper(Machine& machine, CpuId cpu, x86::Decoder native, x86::Decoder compatible)
        : machine_(machine), cpu_(cpu), native_(std::move(native)), compatible_(std::move(compatible)) {}

    [[nodiscard]] Result<void> trap_handlers();
    [[nodiscard]] Result<x86::Instruction> instruction_at(const kvm::Regs& regs, const kvm::Sregs& sregs);
    [[nodiscard]] Result<kvm::Exit> run_stepped(std::chrono::milliseconds budget);
    [[nodiscard]] Result<StepResult> free_to(Gva next, std::uint8_t shadow, std::chrono::milliseconds budget);
    [[nodiscard]] Result<StepResult> sysret(kvm::Regs regs, std::chrono::milliseconds budget);
    [[nodiscard]] Result<StepResult> arrived(kvm::Exit exit, bool stepped);
    [[nodiscard]] Result<StepResult> by_class(const kvm::Regs& regs, const x86::Instruction& instruction, std::chrono::milliseconds budget);
    [[nodiscard]] Result<StepResult> with_trap_flag(const kvm::Regs& regs, const x86::Instruction& instruction, std::chrono::milliseconds budget);
    [[nodiscard]] Result<StepResult> give_back_debug(std::chrono::milliseconds budget);
    [[nodiscard]] Result<std::uint64_t> word_at(Gva address);
    [[nodiscard]] Result<void> set_tf();
    [[nodiscard]] const Handler* handler_at(Gva address) const;

    Machine& machine_;
    CpuId cpu_;
    x86::Decoder native_;
    x86::Decoder compatible_;
    std::vector<Handler> handlers_;
};

}  // namespace stackrig::machine
