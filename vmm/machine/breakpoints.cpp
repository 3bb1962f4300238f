// HLT breakpoints.
#include "vmm/machine/breakpoints.hpp"

#include <utility>

#include "vmm/machine/stepper.hpp"

namespace stackrig::machine {

Result<void> Breakpoints::set(Gva address) {
    if (!addresses_.insert(address).second) {
        return {};
    }
    return machine_.patches().place(machine_.kernel_text(address), opcode_hlt);
}

Result<void> Breakpoints::clear() {
    arrival_ = {};
    while (!addresses_.empty()) {
        const Gva address = *addresses_.begin();
        addresses_.erase(addresses_.begin());
        STACKRIG_TRY(machine_.patches().lift(machine_.kernel_text(address)));
    }
    return {};
}

Result<std::optional<kvm::Exit>> Breakpoints::step_off(CpuId cpu, std::chrono::milliseconds budget) {
    // Not with a bare trap flag: the instruction may be one that stores RFLAGS, and if it faults the frame does.
    STACKRIG_TRY_ASSIGN(Stepper stepper, Stepper::create(machine_, cpu));
    STACKRIG_TRY_ASSIGN(StepStop stop, stepper.step(budget));
    if (auto* exited = std::get_if<Exited>(&stop.what)) {
        return std::optional(std::move(exited->exit));  // an IN: the step ends with its answer
    }
    return std::holds_alternative<Halted>(stop.what) ? std::optional<kvm::Exit>(kvm::Hlt{}) : std::nullopt;
}

Result<BreakpointStop> Breakpoints::run(CpuId cpu, std::chrono::milliseconds budget) {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu);
    if (addresses_.empty()) {
        STACKRIG_TRY_ASSIGN(kvm::Exit exit, vcpu.run(budget));
        return BreakpointStop{std::move(exit), std::nullopt};
    }
    STACKRIG_TRY_ASSIGN(kvm::Regs regs, vcpu.regs());
    const Gva start(regs.rip);
    const Arrival arrival = std::exchange(arrival_, {});
    if (addresses_.contains(start)) {
        if (arrival.by_exit && start != arrival.not_at) {
            return BreakpointStop{kvm::Exit{}, start};
        }
        STACKRIG_TRY_ASSIGN(auto on_the_way, step_off(cpu, budget));
        if (on_the_way) {
            arrival_ = {.by_exit = true, .not_at = start};
            return BreakpointStop{std::move(*on_the_way), std::nullopt};
        }
    }
    STACKRIG_TRY_ASSIGN(kvm::Exit exit, vcpu.run(budget));
    if (std::holds_alternative<kvm::Hlt>(exit)) {
        STACKRIG_TRY_ASSIGN(regs, vcpu.regs());
        const Gva address(regs.rip - 1);
        if (addresses_.contains(address)) {
            regs.rip = address.value();
            STACKRIG_TRY(vcpu.set_regs(regs));
            return BreakpointStop{std::move(exit), address};
        }
    }
    arrival_ = {.by_exit = true};
    return BreakpointStop{std::move(exit), std::nullopt};
}

}  // namespace stackrig::machine
