// Native delivery: queue the event, wait at a HLT over the handler's first byte, compare the frame.
#include "vmm/machine/deliver.hpp"

#include <fmt/format.h>

#include <array>

#include "vmm/machine/entries.hpp"
#include "vmm/x86/descriptors.hpp"
#include "vmm/x86/frames.hpp"

namespace stackrig::machine {
namespace {

using x86::InterruptFrame;

Result<void> queue_exception(kvm::Vcpu& vcpu, const NativeEvent& event) {
    if (event.cr2) {
        STACKRIG_TRY_ASSIGN(kvm::Sregs sregs, vcpu.sregs());
        sregs.cr2 = event.cr2->value();
        STACKRIG_TRY(vcpu.set_sregs(sregs));
    }
    STACKRIG_TRY_ASSIGN(kvm::Events events, vcpu.events());
    events.exception.injected = 1;
    events.exception.nr = event.vector.value();
    events.exception.has_error_code = event.error_code ? 1 : 0;
    events.exception.error_code = event.error_code.value_or(0);
    return vcpu.set_events(events);
}

/// A HLT over the handler's first byte for as long as this lives.
class HandlerTrap {
  public:
    static Result<HandlerTrap> set(Machine& machine, Gpa at) {
        STACKRIG_TRY(machine.patches().place(at, opcode_hlt));
        return HandlerTrap(machine, at);
    }
    Result<void> lift() { return std::exchange(machine_, nullptr)->patches().lift(at_); }
    HandlerTrap(HandlerTrap&& other) noexcept : machine_(std::exchange(other.machine_, nullptr)), at_(other.at_) {}
    HandlerTrap& operator=(HandlerTrap&&) = delete;
    ~HandlerTrap() {
        if (machine_ != nullptr) {
            (void)machine_->patches().lift(at_);  // on the way out of an error already
        }
    }

  private:
    HandlerTrap(Machine& machine, Gpa at) : machine_(&machine), at_(at) {}
    Machine* machine_;
    Gpa at_;
};

/// What the guest finds at the boundary while the event is delivered. An event that the CPU holds back lets the instruction there
/// run first, so a breakpoint's HLT must not lie over it; #BP is an INT3 there.
Result<std::optional<Patches::Shown>> prepare_boundary(Machine& machine, Delivery how, const AddressSpace& space, Gva boundary) {
    if (how == Delivery::int3) {
        STACKRIG_TRY_ASSIGN(const Gpa at, space.physical(boundary));
        STACKRIG_TRY_ASSIGN(auto shown, machine.patches().show(at, opcode_int3));
        return std::optional(std::move(shown));
    }
    if (machine.patches().empty()) {
        return std::optional<Patches::Shown>();
    }
    const auto at = space.physical(boundary);
    if (at && machine.patches().contains(*at)) {
        STACKRIG_TRY_ASSIGN(auto shown, machine.patches().show_original(*at));
        return std::optional(std::move(shown));
    }
    return std::optional<Patches::Shown>();
}

/// Where an event arrives if the CPU held it back for one instruction; the boundary itself when nothing holds it.
Result<Gva> held_back_until(Machine& machine, CpuId cpu, Gva boundary) {
    STACKRIG_TRY_ASSIGN(const std::uint8_t shadow, machine.vcpu(cpu).interrupt_shadow());
    if (shadow == 0) {
        return boundary;
    }
    STACKRIG_TRY_ASSIGN(const AddressSpace space, machine.address_space(cpu));
    std::array<std::byte, x86::longest_instruction> bytes;
    const std::size_t count = space.read_some(boundary, bytes);
    STACKRIG_TRY_ASSIGN(const auto shadowed, machine.decoder().decode(std::span(bytes).first(count), boundary, x86::CodeMode::bits64));
    return boundary + shadowed.length;
}

}  // namespace

Vector vector_of(const NativeEvent& event) {
    switch (event.how) {
        case Delivery::nmi: return x86::vectors::nmi;
        case Delivery::int3: return x86::vectors::bp;
        case Delivery::machine_check: return x86::vectors::mc;
        default: return event.vector;
    }
}

Result<void> queue(Machine& machine, CpuId cpu, const NativeEvent& event) {
    kvm::Vcpu& vcpu = machine.vcpu(cpu);
    switch (event.how) {
        case Delivery::interrupt: return vcpu.inject_interrupt(event.vector);
        case Delivery::nmi: return vcpu.inject_nmi();
        case Delivery::machine_check:
            return vcpu.inject_mce({.status = x86::mca::status_val | x86::mca::status_uc | x86::mca::status_en,
                                    .mcg_status = x86::mca::mcg_ripv | x86::mca::mcg_mcip});
        case Delivery::exception: return queue_exception(vcpu, event);
        case Delivery::int3: break;  // it is in the code
    }
    return {};
}

std::optional<std::string> refusal(Delivery how, std::uint64_t rflags, const kvm::Events& events) {
    const std::uint8_t shadow = events.interrupt.shadow;
    if (how == Delivery::interrupt && (rflags & x86::rflags::interrupt) == 0) {
        return "IF=0";
    }
    if (how == Delivery::interrupt && shadow != 0) {
        // AMD keeps one bit for both, so KVM may report both.
        return shadow == kvm::shadow_sti      ? "in the shadow of STI"
               : shadow == kvm::shadow_mov_ss ? "in the shadow of MOV SS"
                                              : "in the shadow of STI or MOV SS";
    }
    if (how == Delivery::nmi && events.nmi.masked != 0) {
        return "NMIs are masked until the next IRET";
    }
    return std::nullopt;
}

Result<std::optional<std::string>> refusal(Machine& machine, CpuId cpu, Delivery how) {
    kvm::Vcpu& vcpu = machine.vcpu(cpu);
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, vcpu.regs());
    STACKRIG_TRY_ASSIGN(const kvm::Events events, vcpu.events());
    if (how == Delivery::int3) {
        STACKRIG_TRY_ASSIGN(const Gva handler, idt_handler(machine, cpu, x86::vectors::bp));
        if (handler == Gva(regs.rip)) {
            return std::string(int3_in_its_handler);
        }
    }
    return refusal(how, regs.rflags, events);
}

Result<Landing> deliver(Machine& machine, CpuId cpu, const NativeEvent& event, std::chrono::milliseconds budget) {
    kvm::Vcpu& vcpu = machine.vcpu(cpu);
    const Vector vector = vector_of(event);
    STACKRIG_TRY_ASSIGN(const kvm::Regs before, vcpu.regs());
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, vcpu.sregs());
    const AddressSpace space(machine.clean_memory(), sregs);
    const Gva boundary(before.rip);
    STACKRIG_TRY_ASSIGN(const Gva held_back, held_back_until(machine, cpu, boundary));
    STACKRIG_TRY_ASSIGN(const Gva handler, idt_handler(machine, cpu, vector));
    STACKRIG_TRY_ASSIGN(const Gpa handler_at, space.physical(handler));
    STACKRIG_TRY_ASSIGN(auto shown, prepare_boundary(machine, event.how, space, boundary));
    STACKRIG_TRY_ASSIGN(HandlerTrap trap, HandlerTrap::set(machine, handler_at));
    vcpu.request_interrupt_window(false);  // left over from a run that was abandoned, it would open before an INT3 in the code
    STACKRIG_TRY(queue(machine, cpu, event));
    STACKRIG_TRY_ASSIGN(const kvm::Exit exit, vcpu.run(budget));
    shown.reset();
    STACKRIG_TRY(trap.lift());
    STACKRIG_TRY_ASSIGN(kvm::Regs after, vcpu.regs());
    if (!std::holds_alternative<kvm::Hlt>(exit) || after.rip != handler.value() + 1) {
        return fail(ErrorKind::rig, fmt::format("vector {} was queued at {}, but instead of its handler there was: {} at {:#x}", vector,
                                                boundary, kvm::describe(exit), after.rip));
    }
    after.rip = handler.value();
    STACKRIG_TRY(vcpu.set_regs(after));
    const Gva frame_at = x86::frame_at(Gva(after.rsp), vector);
    STACKRIG_TRY_ASSIGN(auto frame, space.read<InterruptFrame>(frame_at));
    if (event.how == Delivery::int3) {
        // The INT3 is ours: the interrupted program must resume at the instruction that was there before it.
        frame.rip -= 1;
        STACKRIG_TRY(space.write(machine.memory(), frame_at, frame.rip));
    }
    const InterruptFrame meant{before.rip, sregs.cs.selector, before.rflags, before.rsp, sregs.ss.selector};
    Landing landing{.boundary = boundary, .handler = handler, .detail = x86::differences(frame, meant)};
    landing.exact = landing.detail.empty();
    landing.late = !landing.exact && held_back != boundary && Gva(frame.rip) == held_back;
    return landing;
}

}  // namespace stackrig::machine
