// The guest "steps": its image, and one machine that runs it.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "tests/kvm/fixture.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/machine/stepper.hpp"
#include "vmm/x86/elf.hpp"

namespace stackrig::test {

inline constexpr CpuId cpu0{0};

/// guest/steps/steps.S in a machine of its own.
class StepsGuest {
  public:
    StepsGuest();

    [[nodiscard]] machine::Machine& machine() { return *machine_; }
    [[nodiscard]] kvm::Vcpu& vcpu() { return machine_->vcpu(cpu0); }
    [[nodiscard]] static const x86::Elf& elf();
    [[nodiscard]] static Gva symbol(const char* name);
    [[nodiscard]] static std::string where(Gva address) { return elf().describe(address); }

    /// Runs freely, patches aside, up to the instruction at `name`; kernel only.
    void run_to(const char* name);
    /// Runs freely to the end of the guest, answering its IN with 7.
    void run_to_end();
    /// One step that answers an IN with 7.
    machine::StepStop step(machine::Stepper& stepper);
    /// Steps until RIP is `name`.
    void step_to(machine::Stepper& stepper, const char* name);

    /// A 32- or 64-bit word of the guest's data.
    template <class T = std::uint32_t>
    [[nodiscard]] T value(const char* name) {
        return must(machine_->memory().read<T>(Gpa(symbol(name).value())));
    }
    /// Whether any handler, or user code, ever saw the trap flag.
    [[nodiscard]] bool trap_flag_was_seen();
    [[nodiscard]] Gva rip() { return Gva(must(vcpu().regs()).rip); }

    static constexpr std::uint8_t in_answer = 7;
    static constexpr std::uint64_t ram_bytes = 16u << 20;
    static constexpr std::uint64_t boot_params_at = 0x10000;

  private:
    std::unique_ptr<machine::Machine> machine_;
};

}  // namespace stackrig::test
