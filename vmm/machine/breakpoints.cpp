// HLT breakpoints.
#include "vmm/machine/breakpoints.hpp"

#include <fmt/format.h>

namespace stackrig::machine {

Result<void> Breakpoints::set(Gva address) {
    if (!addresses_.insert(address).second) {
        return {};
    }
    return machine_.patches().place(machine_.kernel_text(address), opcode_hlt);
}

Result<void> Breakpoints::clear() {
    while (!addresses_.empty()) {
        const Gva address = *addresses_.begin();
        addresses_.erase(addresses_.begin());
        STACKRIG_TRY(machine_.patches().lift(machine_.kernel_text(address)));
    }
    return {};
}

Result<std::optional<kvm::Exit>> Breakpoints::step_over(kvm::Vcpu& vcpu, std::chrono::milliseconds budget) {
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, vcpu.regs());
    if (!addresses_.contains(Gva(regs.rip))) {
        return std::nullopt;
    }
    const Gpa at = machine_.kernel_text(Gva(regs.rip));
    STACKRIG_TRY(machine_.patches().lift(at));
    STACKRIG_TRY(vcpu.arm_single_step());
    STACKRIG_TRY_ASSIGN(kvm::Exit exit, vcpu.run(budget));
    STACKRIG_TRY(machine_.patches().place(at, opcode_hlt));
    if (vcpu.waits_for_answer()) {
        return std::optional(std::move(exit));  // an IN: the step ends with its answer
    }
    STACKRIG_TRY(vcpu.disarm_single_step());
    if (std::holds_alternative<kvm::Debug>(exit)) {
        return std::nullopt;
    }
    return std::optional(std::move(exit));
}

Result<BreakpointStop> Breakpoints::run(CpuId cpu, std::chrono::milliseconds budget) {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu);
    if (!addresses_.empty()) {
        STACKRIG_TRY_ASSIGN(auto on_the_way, step_over(vcpu, budget));
        if (on_the_way) {
            return BreakpointStop{std::move(*on_the_way), std::nullopt};
        }
    }
    STACKRIG_TRY_ASSIGN(kvm::Exit exit, vcpu.run(budget));
    if (!addresses_.empty() && std::holds_alternative<kvm::Hlt>(exit)) {
        STACKRIG_TRY_ASSIGN(kvm::Regs regs, vcpu.regs());
        const Gva address(regs.rip - 1);
        if (addresses_.contains(address)) {
            regs.rip = address.value();
            STACKRIG_TRY(vcpu.set_regs(regs));
            return BreakpointStop{std::move(exit), address};
        }
    }
    return BreakpointStop{std::move(exit), std::nullopt};
}

}  // namespace stackrig::machine
