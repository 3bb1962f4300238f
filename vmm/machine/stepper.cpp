// The rules, and what each of them leaves to clean up.
#include "vmm/machine/stepper.hpp"

#include <fmt/format.h>

#include <array>

#include "vmm/x86/descriptors.hpp"
#include "vmm/x86/frames.hpp"

namespace stackrig::machine {

using x86::InstructionClass;
namespace flag = x86::rflags;

StepRule step_rule(InstructionClass kind, unsigned cpl, bool own_trap_flag) {
    if (own_trap_flag) {
        return StepRule::free;
    }
    switch (kind) {
        // SYSCALL clears TF by FMASK and would be run on from; INT n clears it at the gate and stores it in the frame. Both
        // end at a trapped entry. I/O leaves the guest and is completed without a further instruction; so does HLT.
        case InstructionClass::syscall:
        case InstructionClass::int_n:
        case InstructionClass::hlt:
        case InstructionClass::io: return StepRule::free;
        case InstructionClass::sysret: return StepRule::trap_sysret;
        case InstructionClass::iret:
        case InstructionClass::popf: return StepRule::trap_load_flags;
        case InstructionClass::pushf: return StepRule::trap_store_flags;
        // Their shadow holds the debug trap back too: MOV SS everywhere (SDM 3A 6.8.3), STI on some hosts. In ring 3 HLT is
        // #GP, and STI as well: there the trap flag must do.
        case InstructionClass::sti:
        case InstructionClass::mov_ss: return cpl == 0 ? StepRule::fence : StepRule::trap;
        case InstructionClass::rep_string:
        case InstructionClass::entry_set:
        case InstructionClass::other: return StepRule::trap;
    }
    return StepRule::trap;
}

struct Stepper::Before {
    kvm::Regs regs;
    AddressSpace space;
    x86::Instruction instruction;
    StepRule rule = StepRule::trap;
    std::optional<Gpa> code;   // of the instruction's first byte
    bool loads_trap = false;   // the RFLAGS that the instruction loads have TF set
    bool sets_shadow = false;  // fence only

    [[nodiscard]] Gva rip() const { return Gva(regs.rip); }
    [[nodiscard]] Gva behind() const { return Gva(regs.rip + instruction.length); }
    [[nodiscard]] bool armed() const { return rule != StepRule::free && rule != StepRule::fence; }
};

namespace {

x86::CodeMode code_mode(const kvm::Sregs& sregs) {
    if ((sregs.efer & x86::efer::lma) != 0 && sregs.cs.l != 0) {
        return x86::CodeMode::bits64;
    }
    return sregs.cs.db != 0 ? x86::CodeMode::bits32 : x86::CodeMode::bits16;
}

/// The next instruction; one of length 0 when there is none, which then faults.
x86::Instruction decode(const Machine& machine, const AddressSpace& space, Gva at, x86::CodeMode mode) {
    std::array<std::byte, x86::longest_instruction> bytes;
    const std::size_t count = space.read_some(at, bytes);
    auto found = machine.decoder().decode(std::span(bytes).first(count), at, mode);
    return found ? std::move(*found) : x86::Instruction{};
}

/// Whether the RFLAGS that a flag-loading instruction is about to load have TF set.
Result<bool> loads_trap_flag(const x86::Instruction& instruction, const kvm::Regs& regs, const AddressSpace& space) {
    if (instruction.kind == InstructionClass::sysret) {
        return (regs.r11 & flag::tf) != 0;
    }
    // IRET finds RIP and CS below RFLAGS.
    const std::uint64_t words = instruction.kind == InstructionClass::iret ? 2 : 0;
    const auto low = space.read<std::uint16_t>(Gva(regs.rsp + words * instruction.word_bytes));
    return low && (*low & flag::tf) != 0;  // not mapped: it faults instead
}

Result<void> clear_stored_trap_flag(Machine& machine, const AddressSpace& space, Gva flags_at) {
    STACKRIG_TRY_ASSIGN(auto low, space.read<std::uint16_t>(flags_at));
    low = static_cast<std::uint16_t>(low & ~flag::tf);
    return space.write(machine.memory(), flags_at, low);
}

}  // namespace

Result<Stepper> Stepper::create(Machine& machine, CpuId cpu) {
    STACKRIG_TRY_ASSIGN(EntryTraps traps, EntryTraps::set(machine, cpu));
    return Stepper(machine, cpu, std::move(traps));
}

Result<Stepper::Before> Stepper::look() const {
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, machine_.vcpu(cpu_).regs());
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, machine_.vcpu(cpu_).sregs());
    Before before{.regs = regs, .space = AddressSpace(machine_.clean_memory(), sregs)};
    before.instruction = decode(machine_, before.space, before.rip(), code_mode(sregs));
    before.rule = step_rule(before.instruction.kind, x86::privilege(sregs.cs.selector), (regs.rflags & flag::tf) != 0);
    if (const auto code = before.space.physical(before.rip())) {
        before.code = *code;
    }
    if (before.rule == StepRule::trap_load_flags || before.rule == StepRule::trap_sysret) {
        STACKRIG_TRY_ASSIGN(before.loads_trap, loads_trap_flag(before.instruction, regs, before.space));
    }
    // STI with interrupts on already opens no shadow (SDM 2B, STI).
    before.sets_shadow = before.instruction.kind == InstructionClass::mov_ss || (regs.rflags & flag::interrupt) == 0;
    return before;
}

Result<kvm::Exit> Stepper::run(const Before& before, std::chrono::milliseconds budget) {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu_);
    std::optional<Patches::Shown> own;
    std::optional<Patches::Shown> fence;
    if (before.code && machine_.patches().contains(*before.code)) {
        STACKRIG_TRY_ASSIGN(auto shown, machine_.patches().show_original(*before.code));
        own.emplace(std::move(shown));
    }
    if (before.rule == StepRule::fence) {
        STACKRIG_TRY_ASSIGN(const Gpa behind, before.space.physical(before.behind()));
        STACKRIG_TRY_ASSIGN(auto shown, machine_.patches().show(behind, opcode_hlt));
        fence.emplace(std::move(shown));
    }
    if (before.rule == StepRule::trap_sysret) {
        kvm::Regs regs = before.regs;
        regs.r11 |= flag::tf;
        STACKRIG_TRY(vcpu.set_regs(regs));
    }
    if (before.armed()) {
        STACKRIG_TRY(vcpu.arm_single_step());
    }
    STACKRIG_TRY_ASSIGN(kvm::Exit exit, vcpu.run(budget));
    if (before.armed() && !vcpu.waits_for_answer()) {
        STACKRIG_TRY(vcpu.disarm_single_step());
    }
    own.reset();
    fence.reset();
    return exit;
}

Result<void> Stepper::reach_fence(const Before& before, kvm::Regs regs) {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu_);
    regs.rip = before.behind().value();
    STACKRIG_TRY(vcpu.set_regs(regs));
    if (!before.sets_shadow) {
        return {};
    }
    // The HLT used the shadow up.
    STACKRIG_TRY_ASSIGN(kvm::Events events, vcpu.events());
    events.interrupt.shadow = before.instruction.kind == InstructionClass::sti ? kvm::shadow_sti : kvm::shadow_mov_ss;
    return vcpu.set_events(events);
}

Result<StepStop> Stepper::stop_at_hlt(const Before& before, kvm::Regs regs, StepStop stop) {
    const Gva hlt(regs.rip - 1);
    if (before.rule == StepRule::fence && hlt == before.behind()) {
        STACKRIG_TRY(reach_fence(before, regs));
        stop.what = Retired{};
        stop.rip = hlt;
        return stop;
    }
    if (before.instruction.kind == InstructionClass::hlt && hlt == before.rip()) {
        stop.what = Halted{};
        return stop;
    }
    if (!traps_.contains(hlt)) {
        return fail(ErrorKind::rig, fmt::format("stepping over \"{}\" at {} ended in a HLT at {}, which is neither its own nor the rig's",
                                                before.instruction.text, before.rip(), hlt));
    }
    regs.rip = hlt.value();
    STACKRIG_TRY(machine_.vcpu(cpu_).set_regs(regs));
    stop.rip = hlt;
    if (const auto vector = traps_.vector_at(hlt)) {
        stop.what = Entered{*vector};
    } else {
        stop.what = Retired{};  // SYSCALL or SYSENTER
    }
    return stop;
}

Result<void> Stepper::clean_up(const Before& before, const StepStop& stop) {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu_);
    const auto* entered = std::get_if<Entered>(&stop.what);
    const bool retired = std::holds_alternative<Retired>(stop.what);
    if (before.rule == StepRule::trap_sysret || (retired && before.loads_trap)) {
        STACKRIG_TRY_ASSIGN(kvm::Regs regs, vcpu.regs());
        if (before.rule == StepRule::trap_sysret && !before.loads_trap) {
            regs.r11 &= ~flag::tf;
        }
        if (retired && before.loads_trap) {
            regs.rflags |= flag::tf;  // KVM shows the flags without TF while it steps
        }
        STACKRIG_TRY(vcpu.set_regs(regs));
    }
    if (retired && before.rule == StepRule::trap_store_flags) {
        STACKRIG_TRY_ASSIGN(const kvm::Regs regs, vcpu.regs());
        STACKRIG_TRY(clear_stored_trap_flag(machine_, before.space, Gva(regs.rsp)));
    }
    if (entered != nullptr && before.armed()) {
        STACKRIG_TRY_ASSIGN(const kvm::Regs regs, vcpu.regs());
        const Gva frame = x86::frame_at(Gva(regs.rsp), entered->vector);
        STACKRIG_TRY(clear_stored_trap_flag(machine_, before.space, frame + offsetof(x86::InterruptFrame, rflags)));
    }
    if (retired && before.instruction.kind == InstructionClass::entry_set) {
        STACKRIG_TRY(traps_.lift());
        STACKRIG_TRY_ASSIGN(traps_, EntryTraps::set(machine_, cpu_));
    }
    return {};
}

Result<StepStop> Stepper::stop_at(const Before& before, kvm::Exit exit) {
    StepStop stop{.from = before.rip(), .instruction = before.instruction};
    if (machine_.vcpu(cpu_).waits_for_answer()) {
        stop.rip = before.rip();
        stop.what = Exited{std::move(exit)};
        return stop;
    }
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, machine_.vcpu(cpu_).regs());
    stop.rip = Gva(regs.rip);
    if (std::holds_alternative<kvm::Hlt>(exit)) {
        STACKRIG_TRY_ASSIGN(stop, stop_at_hlt(before, regs, std::move(stop)));
    } else if (std::holds_alternative<kvm::Debug>(exit) && before.armed()) {
        stop.what = Retired{};
        const bool again = before.instruction.kind == InstructionClass::rep_string && stop.rip == stop.from;
        stop.skipped = before.instruction.length != 0 && !before.instruction.branches && !again && stop.rip != before.behind();
    } else {
        stop.what = Exited{std::move(exit)};
    }
    STACKRIG_TRY(clean_up(before, stop));
    return stop;
}

Result<StepStop> Stepper::step(std::chrono::milliseconds budget) {
    STACKRIG_TRY_ASSIGN(const Before before, look());
    STACKRIG_TRY_ASSIGN(kvm::Exit exit, run(before, budget));
    return stop_at(before, std::move(exit));
}

}  // namespace stackrig::machine
