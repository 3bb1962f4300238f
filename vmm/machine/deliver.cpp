// Native delivery: queue the event, wait at a HLT over the handler's first byte, compare the frame.
#include "vmm/machine/deliver.hpp"

#include <array>
#include <fmt/format.h>

namespace stackrig::machine {
namespace {

// RFLAGS.RF is not compared: it is set in the frames of faults and aborts by hardware only (SDM 17.3.1.1), and TCG's SVM
// never sets it.
constexpr std::uint64_t rflags_rf = 1u << 16;

constexpr std::uint64_t mci_status_val = 1ull << 63;  // SDM 3B 16.3.2.2
constexpr std::uint64_t mci_status_uc = 1ull << 61;
constexpr std::uint64_t mci_status_en = 1ull << 60;
constexpr std::uint64_t mcg_status_ripv = 1u << 0;
constexpr std::uint64_t mcg_status_mcip = 1u << 2;

Vector vector_of(const NativeEvent& event) {
    switch (event.how) {
        case Delivery::nmi: return Vector{2};
        case Delivery::int3: return Vector{3};
        case Delivery::machine_check: return Vector{18};
        default: return event.vector;
    }
}

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

Result<void> queue(Machine& machine, CpuId cpu, const NativeEvent& event, Gpa boundary) {
    kvm::Vcpu& vcpu = machine.vcpu(cpu);
    switch (event.how) {
        case Delivery::interrupt: return vcpu.inject_interrupt(event.vector);
        case Delivery::nmi: return vcpu.inject_nmi();
        case Delivery::machine_check:
            return vcpu.inject_mce({.status = mci_status_val | mci_status_uc | mci_status_en,
                                    .mcg_status = mcg_status_ripv | mcg_status_mcip});
        case Delivery::exception: return queue_exception(vcpu, event);
        case Delivery::int3: return machine.patches().place(boundary, opcode_int3);
    }
    return fail(ErrorKind::rig, "an event of no known kind");
}

struct Frame {  // SDM 6.14.2
    std::uint64_t rip, cs, rflags, rsp, ss;
};

std::string differences(const Frame& seen, const Frame& meant) {
    std::string text;
    const auto compare = [&text](const char* name, std::uint64_t is, std::uint64_t should) {
        if (is != should) {
            text += fmt::format("{}{} {:#x} instead of {:#x}", text.empty() ? "" : ", ", name, is, should);
        }
    };
    compare("RIP", seen.rip, meant.rip);
    compare("CS", seen.cs & 0xffff, meant.cs);
    compare("RFLAGS", seen.rflags & ~rflags_rf, meant.rflags & ~rflags_rf);
    compare("RSP", seen.rsp, meant.rsp);
    compare("SS", seen.ss & 0xffff, meant.ss);
    return text;
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

Result<Frame> read_frame(Machine& machine, CpuId cpu, Gva at) {
    Frame frame{};
    STACKRIG_TRY_ASSIGN(const Gpa where, machine.physical(cpu, at));
    STACKRIG_TRY(machine.memory().read(where, std::as_writable_bytes(std::span(&frame, 1))));
    return frame;
}

}  // namespace

bool pushes_error_code(Vector vector) {
    constexpr std::uint32_t vectors = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 21;
    return vector.value() < 32 && (vectors >> vector.value() & 1) != 0;
}

Result<Gva> idt_handler(Machine& machine, CpuId cpu, Vector vector) {
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, machine.vcpu(cpu).sregs());
    STACKRIG_TRY_ASSIGN(const Gpa gate_at, machine.physical(cpu, Gva(sregs.idt.base + vector.value() * 16u)));
    using Gate = std::array<std::uint16_t, 8>;
    STACKRIG_TRY_ASSIGN(const Gate gate, machine.memory().read<Gate>(gate_at));
    if ((gate[2] & 0x8000) == 0) {
        return fail(ErrorKind::guest, fmt::format("the guest's IDT has no handler for vector {}", vector));
    }
    return Gva(gate[0] | static_cast<std::uint64_t>(gate[3]) << 16 | static_cast<std::uint64_t>(gate[4]) << 32 |
               static_cast<std::uint64_t>(gate[5]) << 48);
}

Result<std::optional<std::string>> refusal(Machine& machine, CpuId cpu, Delivery how) {
    kvm::Vcpu& vcpu = machine.vcpu(cpu);
    if (how == Delivery::interrupt) {
        STACKRIG_TRY_ASSIGN(const kvm::Regs regs, vcpu.regs());
        STACKRIG_TRY_ASSIGN(const std::uint8_t shadow, vcpu.interrupt_shadow());
        if ((regs.rflags & 0x200) == 0) {
            return std::optional<std::string>("IF=0");
        }
        if (shadow != 0) {
            return std::optional<std::string>(shadow == kvm::shadow_sti ? "in the shadow of STI" : "in the shadow of MOV SS");
        }
    }
    if (how == Delivery::nmi) {
        STACKRIG_TRY_ASSIGN(const kvm::Events events, vcpu.events());
        if (events.nmi.masked != 0) {
            return std::optional<std::string>("NMIs are masked until the next IRET");
        }
    }
    return std::optional<std::string>();
}

Result<Landing> deliver(Machine& machine, CpuId cpu, const NativeEvent& event, std::chrono::milliseconds budget) {
    kvm::Vcpu& vcpu = machine.vcpu(cpu);
    const Vector vector = vector_of(event);
    STACKRIG_TRY_ASSIGN(const kvm::Regs before, vcpu.regs());
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, vcpu.sregs());
    STACKRIG_TRY_ASSIGN(const Gva handler, idt_handler(machine, cpu, vector));
    STACKRIG_TRY_ASSIGN(HandlerTrap trap, HandlerTrap::set(machine, machine.kernel_text(handler)));
    Gpa boundary;
    if (event.how == Delivery::int3) {
        STACKRIG_TRY_ASSIGN(boundary, machine.physical(cpu, Gva(before.rip)));
    }
    STACKRIG_TRY(queue(machine, cpu, event, boundary));
    STACKRIG_TRY_ASSIGN(const kvm::Exit exit, vcpu.run(budget));
    if (event.how == Delivery::int3) {
        STACKRIG_TRY(machine.patches().lift(boundary));
    }
    STACKRIG_TRY(trap.lift());
    STACKRIG_TRY_ASSIGN(kvm::Regs after, vcpu.regs());
    if (!std::holds_alternative<kvm::Hlt>(exit) || after.rip != handler.value() + 1) {
        return fail(ErrorKind::rig, fmt::format("vector {} was queued at {:#x}, but instead of its handler there was: {} at {:#x}", vector,
                                                before.rip, kvm::describe(exit), after.rip));
    }
    after.rip = handler.value();
    STACKRIG_TRY(vcpu.set_regs(after));
    const Gva frame_at(after.rsp + (pushes_error_code(vector) ? 8 : 0));
    STACKRIG_TRY_ASSIGN(Frame frame, read_frame(machine, cpu, frame_at));
    if (event.how == Delivery::int3) {
        // The INT3 is ours: the interrupted program must resume at the instruction that was there before it.
        frame.rip -= 1;
        STACKRIG_TRY_ASSIGN(const Gpa where, machine.physical(cpu, frame_at));
        STACKRIG_TRY(machine.memory().write(where, frame.rip));
    }
    const Frame meant{before.rip, sregs.cs.selector, before.rflags, before.rsp, sregs.ss.selector};
    Landing landing{.boundary = Gva(before.rip), .handler = handler, .detail = differences(frame, meant)};
    landing.exact = landing.detail.empty();
    return landing;
}

}  // namespace stackrig::machine
