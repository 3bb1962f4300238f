// HLT breakpoints.
#include "vmm/machine/breakpoints.hpp"

#include <algorithm>

#include "vmm/machine/stepper.hpp"

namespace stackrig::machine {

bool Breakpoints::at(Gva address) const { return std::binary_search(addresses_.begin(), addresses_.end(), address); }

/// One that stays is not touched: a byte of code that changes costs the host what it has made of that code.
Result<void> Breakpoints::set_only(std::vector<Gva> addresses) {
    arrival_ = {};
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    addresses.swap(addresses_);
    for (const Gva old : addresses) {
        STACKRIG_TRY(at(old) ? Result<void>{} : machine_.patches().lift(machine_.kernel_text(old)));
    }
    for (const Gva wanted : addresses_) {
        const bool stays = std::binary_search(addresses.begin(), addresses.end(), wanted);
        STACKRIG_TRY(stays ? Result<void>{} : machine_.patches().place(machine_.kernel_text(wanted), opcode_hlt));
    }
    return {};
}

bool Breakpoints::Arrival::news(Gva rip) const {
    if (answered_in) {
        return rip > *answered_in && rip - *answered_in <= 3;  // the length of an IN with its prefix
    }
    return at == rip;
}

Result<void> Breakpoints::remember(const kvm::Vcpu& vcpu, const kvm::Exit& exit,
                                   std::optional<Gva> left_from) {
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, vcpu.regs());
    const Gva rip(regs.rip);
    if (std::holds_alternative<kvm::IoIn>(exit)) {
        arrival_ = {.answered_in = rip};
    } else if (rip != left_from) {
        arrival_ = {.at = rip};
    }
    return {};
}

Result<std::optional<kvm::Exit>> Breakpoints::step_off(CpuId cpu, std::chrono::milliseconds budget) {
    // Not with a bare trap flag: the instruction may be one that stores RFLAGS, and if it faults the frame
    // does.
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
        return enter(cpu, budget);
    }
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, vcpu.regs());
    const Gva start(regs.rip);
    const bool unseen = arrival_.news(start);
    arrival_ = {};
    if (at(start)) {
        if (unseen) {
            return BreakpointStop{kvm::Exit{}, start};
        }
        STACKRIG_TRY_ASSIGN(auto on_the_way, step_off(cpu, budget));
        if (on_the_way) {
            STACKRIG_TRY(remember(vcpu, *on_the_way, start));
            return BreakpointStop{std::move(*on_the_way), std::nullopt};
        }
    }
    return enter(cpu, budget);
}

Result<BreakpointStop> Breakpoints::run_into_event(CpuId cpu, std::chrono::milliseconds budget) {
    arrival_ = {};
    return enter(cpu, budget);
}

Result<BreakpointStop> Breakpoints::enter(CpuId cpu, std::chrono::milliseconds budget) {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu);
    STACKRIG_TRY_ASSIGN(kvm::Exit exit, vcpu.run(budget));
    if (addresses_.empty()) {
        return BreakpointStop{std::move(exit), std::nullopt};
    }
    if (std::holds_alternative<kvm::Hlt>(exit)) {
        STACKRIG_TRY_ASSIGN(kvm::Regs regs, vcpu.regs());
        const Gva address(regs.rip - 1);
        if (at(address)) {
            regs.rip = address.value();
            STACKRIG_TRY(vcpu.set_regs(regs));
            return BreakpointStop{std::move(exit), address};
        }
    }
    STACKRIG_TRY(remember(vcpu, exit, std::nullopt));
    return BreakpointStop{std::move(exit), std::nullopt};
}

}  // namespace stackrig::machine
