// Stepping by instruction class.
#include "vmm/machine/stepper.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "vmm/machine/deliver.hpp"

namespace stackrig::machine {
namespace {

constexpr std::uint64_t rflags_tf = 1u << 8;
constexpr std::uint64_t dr6_bs = 1u << 14;  // SDM 17.2.3
constexpr std::uint32_t msr_lstar = 0xc0000082;
constexpr std::uint32_t msr_cstar = 0xc0000083;
constexpr unsigned longest_instruction = 15;

}  // namespace

Result<std::unique_ptr<Stepper>> Stepper::create(Machine& machine, CpuId cpu) {
    STACKRIG_TRY_ASSIGN(x86::Decoder native, x86::Decoder::create(false));
    STACKRIG_TRY_ASSIGN(x86::Decoder compatible, x86::Decoder::create(true));
    std::unique_ptr<Stepper> stepper(new Stepper(machine, cpu, std::move(native), std::move(compatible)));
    STACKRIG_TRY(stepper->trap_handlers());
    return stepper;
}

Stepper::~Stepper() {
    for (const Handler& handler : handlers_) {
        (void)machine_.patches().lift(machine_.kernel_text(handler.address));
    }
}

Result<void> Stepper::trap_handlers() {
    const auto add = [this](Gva address, std::optional<Vector> vector) -> Result<void> {
        if (handler_at(address) == nullptr) {
            STACKRIG_TRY(machine_.patches().place(machine_.kernel_text(address), opcode_hlt));
            handlers_.push_back({address, vector});
        }
        return {};
    };
    for (unsigned vector = 0; vector < 256; ++vector) {
        if (const auto handler = idt_handler(machine_, cpu_, Vector(static_cast<std::uint8_t>(vector)))) {
            STACKRIG_TRY(add(*handler, Vector(static_cast<std::uint8_t>(vector))));
        }
    }
    std::array<kvm::Msr, 2> entries{{{.index = msr_lstar}, {.index = msr_cstar}}};
    STACKRIG_TRY(machine_.vcpu(cpu_).get_msrs(entries));
    for (const kvm::Msr& entry : entries) {
        STACKRIG_TRY(add(Gva(entry.value), std::nullopt));
    }
    return {};
}

const Stepper::Handler* Stepper::handler_at(Gva address) const {
    const auto found = std::find_if(handlers_.begin(), handlers_.end(), [&](const Handler& h) { return h.address == address; });
    return found == handlers_.end() ? nullptr : &*found;
}

Result<x86::Instruction> Stepper::instruction_at(const kvm::Regs& regs, const kvm::Sregs& sregs) {
    std::array<std::byte, longest_instruction> bytes{};
    std::size_t have = 0;
    while (have < bytes.size()) {  // an instruction may straddle two pages, the second of which may be absent
        const Gva at(regs.rip + have);
        const auto where = machine_.physical(cpu_, at);
        if (!where) {
            break;
        }
        const std::size_t piece = std::min<std::size_t>(bytes.size() - have, page_size - at.page_offset());
        if (!machine_.clean_memory().read(*where, std::span(bytes).subspan(have, piece))) {
            break;
        }
        have += piece;
    }
    return (sregs.cs.l != 0 ? native_ : compatible_).decode(std::span(bytes).first(have), Gva(regs.rip));
}

Result<kvm::Exit> Stepper::run_stepped(std::chrono::milliseconds budget) {
    STACKRIG_TRY(machine_.vcpu(cpu_).arm_single_step());
    return machine_.vcpu(cpu_).run(budget);
}

/// A HLT exit may be a handler's trap: then the event's frame shows TF if we were stepping, which the guest must not see.
Result<StepResult> Stepper::arrived(kvm::Exit exit, bool stepped) {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu_);
    if (stepped && !vcpu.waits_for_answer()) {
        STACKRIG_TRY(vcpu.disarm_single_step());
    }
    if (std::holds_alternative<kvm::Debug>(exit)) {
        return StepResult(Stepped{});
    }
    if (!std::holds_alternative<kvm::Hlt>(exit)) {
        return StepResult(std::move(exit));
    }
    STACKRIG_TRY_ASSIGN(kvm::Regs regs, vcpu.regs());
    const Handler* handler = handler_at(Gva(regs.rip - 1));
    if (handler == nullptr) {
        return StepResult(std::move(exit));
    }
    regs.rip -= 1;
    STACKRIG_TRY(vcpu.set_regs(regs));
    if (!handler->vector) {
        return StepResult(Stepped{});  // SYSCALL: the entry is its next boundary
    }
    const Gva flags_at(regs.rsp + (pushes_error_code(*handler->vector) ? 24 : 16));
    STACKRIG_TRY_ASSIGN(const Gpa where, machine_.physical(cpu_, flags_at));
    STACKRIG_TRY_ASSIGN(const auto flags, machine_.memory().read<std::uint64_t>(where));
    if (stepped && (flags & rflags_tf) != 0) {
        STACKRIG_TRY(machine_.memory().write(where, flags & ~rflags_tf));
    }
    return StepResult(Trapped{*handler->vector});
}

/// Without TF to a HLT over `next`; then the shadow, which the HLT has consumed, is put back.
Result<StepResult> Stepper::free_to(Gva next, std::uint8_t shadow, std::chrono::milliseconds budget) {
    const Gpa at = machine_.kernel_text(next);
    STACKRIG_TRY(machine_.patches().place(at, opcode_hlt));
    auto exit = machine_.vcpu(cpu_).run(budget);
    STACKRIG_TRY(machine_.patches().lift(at));
    STACKRIG_TRY(exit);
    kvm::Vcpu& vcpu = machine_.vcpu(cpu_);
    STACKRIG_TRY_ASSIGN(kvm::Regs regs, vcpu.regs());
    if (!std::holds_alternative<kvm::Hlt>(*exit) || regs.rip != next.value() + 1) {
        return arrived(std::move(*exit), false);
    }
    regs.rip = next.value();
    STACKRIG_TRY(vcpu.set_regs(regs));
    STACKRIG_TRY_ASSIGN(kvm::Events events, vcpu.events());
    events.interrupt.shadow = shadow;
    STACKRIG_TRY(vcpu.set_events(events));
    return StepResult(Stepped{});
}

/// SYSRET takes RFLAGS from R11: TF goes there for this one step.
Result<StepResult> Stepper::sysret(kvm::Regs regs, std::chrono::milliseconds budget) {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu_);
    regs.r11 |= rflags_tf;
    STACKRIG_TRY(vcpu.set_regs(regs));
    STACKRIG_TRY_ASSIGN(kvm::Exit exit, run_stepped(budget));
    STACKRIG_TRY_ASSIGN(StepResult result, arrived(std::move(exit), true));
    STACKRIG_TRY_ASSIGN(kvm::Regs after, vcpu.regs());
    after.r11 &= ~rflags_tf;
    after.rflags &= ~rflags_tf;
    STACKRIG_TRY(vcpu.set_regs(after));
    return result;
}

Result<std::uint64_t> Stepper::word_at(Gva address) {
    STACKRIG_TRY_ASSIGN(const Gpa where, machine_.physical(cpu_, address));
    return machine_.memory().read<std::uint64_t>(where);
}

Result<void> Stepper::set_tf() {
    STACKRIG_TRY_ASSIGN(kvm::Regs regs, machine_.vcpu(cpu_).regs());
    regs.rflags |= rflags_tf;
    return machine_.vcpu(cpu_).set_regs(regs);
}

/// The guest had set TF itself: our step has swallowed its #DB.
Result<StepResult> Stepper::give_back_debug(std::chrono::milliseconds budget) {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu_);
    STACKRIG_TRY(set_tf());
    STACKRIG_TRY_ASSIGN(kvm::DebugRegs debug, vcpu.debug_regs());
    debug.dr6 |= dr6_bs;
    STACKRIG_TRY(vcpu.set_debug_regs(debug));
    STACKRIG_TRY_ASSIGN(kvm::Events events, vcpu.events());
    events.exception.injected = 1;
    events.exception.nr = 1;
    STACKRIG_TRY(vcpu.set_events(events));
    STACKRIG_TRY_ASSIGN(kvm::Exit exit, vcpu.run(budget));
    return arrived(std::move(exit), false);
}

Result<StepResult> Stepper::with_trap_flag(const kvm::Regs& regs, const x86::Instruction& instruction, std::chrono::milliseconds budget) {
    const bool guest_tf = (regs.rflags & rflags_tf) != 0;
    std::uint64_t loaded = 0;  // RFLAGS the instruction loads
    if (instruction.step == x86::StepClass::popf || instruction.step == x86::StepClass::iret) {
        STACKRIG_TRY_ASSIGN(loaded, word_at(Gva(regs.rsp + (instruction.step == x86::StepClass::iret ? 16 : 0))));
    }
    STACKRIG_TRY_ASSIGN(kvm::Exit exit, run_stepped(budget));
    STACKRIG_TRY_ASSIGN(StepResult result, arrived(std::move(exit), true));
    if (!std::holds_alternative<Stepped>(result)) {
        return result;
    }
    if (instruction.step == x86::StepClass::pushf && !guest_tf) {
        STACKRIG_TRY_ASSIGN(const kvm::Regs after, machine_.vcpu(cpu_).regs());
        STACKRIG_TRY_ASSIGN(const auto pushed, word_at(Gva(after.rsp)));
        STACKRIG_TRY_ASSIGN(const Gpa where, machine_.physical(cpu_, Gva(after.rsp)));
        STACKRIG_TRY(machine_.memory().write(where, pushed & ~rflags_tf));
    }
    if (guest_tf) {
        return give_back_debug(budget);
    }
    if ((loaded & rflags_tf) != 0) {
        STACKRIG_TRY(set_tf());  // ending our step has dropped it
    }
    return result;
}

Result<StepResult> Stepper::by_class(const kvm::Regs& regs, const x86::Instruction& instruction, std::chrono::milliseconds budget) {
    switch (instruction.step) {
        case x86::StepClass::sysret: return sysret(regs, budget);
        case x86::StepClass::shadowing:
            return free_to(Gva(regs.rip + instruction.length), instruction.text.starts_with("sti") ? kvm::shadow_sti : kvm::shadow_mov_ss, budget);
        case x86::StepClass::syscall:
        case x86::StepClass::software_interrupt:
        case x86::StepClass::halt: {
            STACKRIG_TRY_ASSIGN(kvm::Exit exit, machine_.vcpu(cpu_).run(budget));
            return arrived(std::move(exit), false);
        }
        default: return with_trap_flag(regs, instruction, budget);
    }
}

Result<StepResult> Stepper::step(std::chrono::milliseconds budget) {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu_);
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, vcpu.regs());
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, vcpu.sregs());
    STACKRIG_TRY_ASSIGN(const x86::Instruction instruction, instruction_at(regs, sregs));
    const Handler* here = handler_at(Gva(regs.rip));
    if (here != nullptr) {
        STACKRIG_TRY(machine_.patches().lift(machine_.kernel_text(here->address)));
    }
    auto result = by_class(regs, instruction, budget);
    if (here != nullptr) {
        STACKRIG_TRY(machine_.patches().place(machine_.kernel_text(here->address), opcode_hlt));
    }
    return result;
}

}  // namespace stackrig::machine
