// Event delivery as the manual has it, on paper.
#include "vmm/machine/foresee.hpp"

#include <algorithm>
#include <optional>

#include "vmm/machine/entries.hpp"
#include "vmm/x86/descriptors.hpp"
#include "vmm/x86/paging.hpp"

namespace stackrig::machine {
namespace {

constexpr std::uint64_t stack_alignment = 16;  // of the frame's upper end (SDM 3A 6.14.2)
// A frame of these bytes would return to an address that is not canonical: no CPU pushes it.
constexpr std::uint64_t scrubbed = 0x5c5c5c5c5c5c5c5c;

/// Where the frame's upper end lies (SDM 3A 6.14.2 to 6.14.5); nothing where the TSS cannot be read.
std::optional<Gva> stack_for(const AddressSpace& space, const kvm::Sregs& sregs, const x86::Gate& gate, std::uint64_t rsp) {
    const unsigned ist = gate.ist & 7u;
    std::uint64_t top = rsp;
    if (ist != 0 || x86::privilege(sregs.cs.selector) != 0) {
        const auto tss = space.read<x86::Tss>(Gva(sregs.tr.base));
        if (!tss) {
            return std::nullopt;
        }
        top = ist != 0 ? tss->ist[ist - 1] : tss->rsp[0];
    }
    return Gva(top & ~(stack_alignment - 1));
}

/// A place where pushing a frame changes nothing but the bytes that are pushed.
std::optional<Gpa> settled_place(const Machine& machine, const kvm::Sregs& sregs, Gva at) {
    constexpr std::size_t bytes = sizeof(x86::InterruptFrame);
    const x86::Walk walk = x86::walk(machine.clean_memory(), x86::root_of(sregs.cr3), at);
    const auto steps = walk.steps();
    const bool settled = walk.mapped() && walk.writable && walk.last().dirty() &&
                         std::all_of(steps.begin(), steps.end(), [](const x86::WalkStep& step) { return step.entry.accessed(); });
    const bool in_ram = settled && machine.clean_memory().read_as<x86::InterruptFrame>(walk.physical).has_value();
    return in_ram && at.page_offset() + bytes <= page_size ? std::optional(walk.physical) : std::nullopt;
}

}  // namespace

Result<std::optional<Foresight>> foresee(Machine& machine, CpuId cpu, const NativeEvent& event) {
    const Vector vector = vector_of(event);
    kvm::Vcpu& vcpu = machine.vcpu(cpu);
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, vcpu.sregs());
    STACKRIG_TRY_ASSIGN(const std::uint8_t shadow, vcpu.interrupt_shadow());
    if (event.how == Delivery::int3 || event.error_code || event.cr2 || shadow != 0 || (sregs.efer & x86::efer::lma) == 0) {
        return std::nullopt;
    }
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, vcpu.regs());
    STACKRIG_TRY_ASSIGN(const x86::Gate gate, idt_gate(machine, cpu, vector));
    const AddressSpace space(machine.clean_memory(), sregs);
    const auto top = stack_for(space, sregs, gate, regs.rsp);
    const Gva rsp(top.value_or(Gva(0)).value() - sizeof(x86::InterruptFrame));
    const auto frame_at = top ? settled_place(machine, sregs, rsp) : std::nullopt;
    if (!frame_at) {
        return std::nullopt;
    }
    const std::uint64_t cleared = x86::rflags::tf | x86::rflags::nt | x86::rflags::rf | (gate.masks_interrupts() ? x86::rflags::interrupt : 0);
    return Foresight{.cpu = cpu, .handler = gate.handler(), .cs = gate.selector, .rsp = rsp, .rflags = regs.rflags & ~cleared,
                     .nmi_masked = event.how == Delivery::nmi, .frame_at = *frame_at,
                     .frame = {regs.rip, sregs.cs.selector, regs.rflags, regs.rsp, sregs.ss.selector}};
}

Result<void> queue_foreseen(Machine& machine, const NativeEvent& event, const Foresight& foresight) {
    machine.vcpu(foresight.cpu).request_interrupt_window(false);  // left over from a run that was abandoned
    STACKRIG_TRY(machine.memory().write(foresight.frame_at, std::as_bytes(std::span(&foresight.frame, 1))));
    return queue(machine, foresight.cpu, event);
}

Result<void> scrub(Machine& machine, const Foresight& foresight) {
    const x86::InterruptFrame nothing{scrubbed, scrubbed, scrubbed, scrubbed, scrubbed};
    return machine.memory().write(foresight.frame_at, std::as_bytes(std::span(&nothing, 1)));
}

bool came_true(const Machine& machine, const Foresight& foresight) {
    const auto frame = machine.clean_memory().read_as<x86::InterruptFrame>(foresight.frame_at);
    return frame && x86::differences(*frame, foresight.frame).empty();
}

}  // namespace stackrig::machine
