// What the exits of a run mean, and showing them as stops.
#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "guest/abi/layout.hpp"
#include "vmm/engine/session.hpp"
#include "vmm/machine/deliver.hpp"
#include "vmm/x86/paging.hpp"

namespace stackrig::engine {
namespace {

template <class... Ts>
struct Cases : Ts... {
    using Ts::operator()...;
};
template <class... Ts>
Cases(Ts...) -> Cases<Ts...>;

}  // namespace

void Session::end(RunEnd how, std::string detail) {
    now_.over = true;
    now_.outcome.end = how;
    now_.outcome.detail = std::move(detail);
}

Result<void> Session::refresh() {
    kvm::Vcpu& vcpu = machine_->vcpu(now_.active);
    STACKRIG_TRY_ASSIGN(const kvm::Regs r, vcpu.regs());
    STACKRIG_TRY_ASSIGN(const kvm::Sregs s, vcpu.sregs());
    STACKRIG_TRY_ASSIGN(const kvm::Events e, vcpu.events());
    machine_->saw_root(x86::root_of(s.cr3));
    now_.cpus[now_.active.value()] = {
        .cpu = now_.active, .rip = Gva(r.rip), .rsp = Gva(r.rsp), .rflags = r.rflags, .cs = s.cs.selector, .cr2 = Gva(s.cr2),
        .cr3 = Gpa(s.cr3), .cr4 = s.cr4, .gs_base = Gva(s.gs.base), .kernel_gs_base = {}, .nmi_masked = e.nmi.masked != 0,
        .gpr = {r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15}};
    return {};
}

Stop Session::last_stop() const {
    return {.index = now_.outcome.stops, .step = now_.step, .cpu = now_.active, .cause = now_.last_cause, .cpus = now_.cpus,
            .memory = machine_->clean_memory(), .every_instruction = checks_every_instruction(), .invalidated = now_.invalidated};
}

/// Where the registers have not been changed since refresh().
Result<void> Session::show_as_read(StopCause cause, std::optional<Gva> breakpoint) {
    now_.tracker.observe(now_.active, cause);
    // Whoever only looks on, at an instruction or at a place that is none of the schedule's, must not change who runs when.
    const bool looking = std::holds_alternative<BoundaryStop>(cause) || (std::holds_alternative<PlaceStop>(cause) && breakpoint &&
                          std::find(now_.places.begin(), now_.places.end(), *breakpoint) == now_.places.end());
    if (!looking) {
        now_.fruitless = now_.tracker.relaxing(now_.active) ? now_.fruitless + 1 : 0;
        now_.chosen = false;
    }
    ++now_.outcome.stops;
    now_.last_cause = cause;
    const Stop stop = last_stop();
    now_.trace.add(stop);
    now_.reached = now_.tracker.reached(now_.active, cause, breakpoint);
    const bool go_on = observer_.at_stop(stop);
    now_.invalidated.reset();
    if (looker_) {
        looker_->observe(now_.active, cause);
        if (looker_->reached(now_.active, cause, breakpoint)) {  // also where something is violated
            end(RunEnd::looked, "");
            return {};
        }
    }
    if (!go_on) {
        end(RunEnd::observer, "");
        return {};
    }
    if (now_.outcome.stops >= plan_.max_stops) {
        const Step* const step = current_step();
        end(RunEnd::budget, fmt::format("the budget of {} stops is used up in step {} (\"{}\")", plan_.max_stops, now_.step + 1,
                                        step != nullptr ? step->text : ""));
    }
    return {};
}

Result<void> Session::show(StopCause cause, std::optional<Gva> breakpoint) {
    STACKRIG_TRY(refresh());
    return show_as_read(std::move(cause), breakpoint);
}

std::string Session::guest_text(const CpuState& cpu) const {
    constexpr std::size_t longest = 200;
    std::string text(std::min<std::size_t>(cpu.gpr[4], longest), '\0');
    const Gva at(cpu.gpr[5]);
    if (at.value() < abi::kernel_map_base ||
        !machine_->clean_memory().read(Gpa(at.value() - abi::kernel_map_base), std::as_writable_bytes(std::span(text)))) {
        return fmt::format("(a message at {}, outside the kernel image)", at);
    }
    return text;
}

Result<void> Session::on_out(const kvm::IoOut& out) {
    STACKRIG_TRY(refresh());
    const CpuState& cpu = here();
    const std::uint64_t a = cpu.gpr[5];
    const std::uint64_t b = cpu.gpr[4];
    const std::uint64_t c = cpu.gpr[3];
    if (out.port == static_cast<std::uint16_t>(abi::Port::user_mark)) {
        return show_as_read(UserMarkStop{static_cast<abi::UserMark>(out.value), a});
    }
    if (out.port == static_cast<std::uint16_t>(abi::Port::ipi)) {
        return on_ipi(out);
    }
    if (out.port != static_cast<std::uint16_t>(abi::Port::mark)) {
        end(RunEnd::broken, fmt::format("the guest wrote {:#x} to port {:#x}, which is none of the rig's", out.value, out.port));
        return {};
    }
    const auto mark = static_cast<abi::Mark>(out.value);
    if (mark == abi::Mark::warn || mark == abi::Mark::panic) {
        now_.outcome.console.push_back(guest_text(cpu));
    }
    STACKRIG_TRY(show_as_read(MarkStop{mark, {a, b, c}}));
    if (mark == abi::Mark::panic && !now_.over) {
        end(RunEnd::panic, fmt::format("the guest panicked: {}", now_.outcome.console.back()));
    }
    return {};
}

Result<void> Session::on_ipi(const kvm::IoOut& out) {
    const CpuId target{static_cast<std::uint32_t>(here().gpr[5])};
    const Vector vector{static_cast<std::uint8_t>(out.value)};
    if (target.value() >= machine_->cpus()) {
        end(RunEnd::broken, fmt::format("the guest sent an interrupt to {}, which does not exist", target));
        return {};
    }
    auto& waiting = now_.pending_irqs[target.value()];
    if (vector == Vector{0}) {
        now_.tracker.start(target);
        STACKRIG_TRY(machine_->start_cpu(target));
        waiting.clear();
        steppers_[target.value()].reset();
    } else if (!now_.tracker.is_down(target) &&
               std::none_of(waiting.begin(), waiting.end(), [vector](const Event& e) { return e.vector == vector; })) {
        // One bit of the IRR per vector: a second one before the first is taken is lost (SDM 3A 11.8.4).
        waiting.push_back({.kind = EventKind::irq, .vector = vector, .text = fmt::format("IPI {:#x} from {}", vector.value(), now_.active)});
    }
    now_.tracker.disturb(target);
    return show(IpiStop{target, vector});
}

Result<void> Session::on_in() {
    STACKRIG_TRY(refresh());
    const CpuState cpu = here();
    const auto choice = static_cast<abi::Choice>(cpu.gpr[5]);
    std::uint32_t answer = now_.tracker.answer(choice, cpu.gpr[4], cpu.gpr[3]);
    if (choice == abi::Choice::alloc && fails_by_decision(static_cast<std::uint32_t>(cpu.gpr[3]))) {
        answer = 0;
    }
    STACKRIG_TRY(machine_->vcpu(now_.active).complete_io_in(answer));
    return show(ChoiceStop{choice, {cpu.gpr[4], cpu.gpr[3]}, answer});
}

/// Delivers an interrupt that waits, if the CPU takes it here; else asks for an exit where it would, when `window`. A request may be
/// left over from a run that was abandoned, or from an interrupt that a restart of the CPU has cancelled.
Result<bool> Session::take_pending_irq(bool window) {
    if (now_.pending_irqs[now_.active.value()].empty()) {
        machine_->vcpu(now_.active).request_interrupt_window(false);
        return false;
    }
    STACKRIG_TRY_ASSIGN(const auto why_not, machine::refusal(*machine_, now_.active, machine::Delivery::interrupt));
    if (why_not) {
        machine_->vcpu(now_.active).request_interrupt_window(window);
        return false;
    }
    STACKRIG_TRY(open_window());
    return true;
}

/// Whether an interrupt waits that only the shadow of STI or MOV SS (SDM 3A 6.8.3) keeps from being taken here.
Result<bool> Session::irq_held_back_by_shadow() const {
    if (now_.pending_irqs[now_.active.value()].empty()) {
        return false;
    }
    STACKRIG_TRY_ASSIGN(const std::uint8_t shadow, machine_->vcpu(now_.active).interrupt_shadow());
    return shadow != 0;
}

/// The CPU would take the interrupt here. It is taken by the next go(), for what a step to this boundary would have shown and decided
/// comes first: a return, a place, a decision.
///
/// An exit of the host's own, between STI and the instruction in its shadow, can cost the shadow (nested SVM by TCG forgets it at
/// VMRUN), and the window opens one boundary early. Rightly it opens there only when somebody jumps or returns to that boundary;
/// the interrupt is then taken one instruction later, too, and the same each time.
Result<void> Session::on_window() {
    machine_->vcpu(now_.active).request_interrupt_window(false);
    STACKRIG_TRY(refresh());
    std::array<std::byte, 1> before{};
    const Gva rip = here().rip;
    const bool text = rip.value() > abi::kernel_map_base;
    const bool behind_sti = text && machine_->clean_memory().read(Gpa(rip.value() - 1 - abi::kernel_map_base), before) &&
                            before[0] == std::byte{machine::opcode_sti};
    if (behind_sti) {
        return step_over();
    }
    STACKRIG_TRY_ASSIGN(const bool returned, show_return());
    if (returned || !is_place(rip)) {
        return {};
    }
    now_.arrival = {};
    return show_as_read(PlaceStop{}, rip);
}

Result<void> Session::open_window() {
    machine_->vcpu(now_.active).request_interrupt_window(false);
    auto& waiting = now_.pending_irqs[now_.active.value()];
    const Event first = waiting.front();
    waiting.erase(waiting.begin());
    return deliver(first);
}

Result<void> Session::on_exit(const kvm::Exit& exit) {
    return std::visit(
        Cases{[this](const kvm::IoOut& out) { return on_out(out); },
              [this](const kvm::IoIn&) { return on_in(); },
              [this](const kvm::Hlt&) { return show(HaltStop{}); },
              [this](const kvm::IrqWindow&) { return on_window(); },
              [this](const kvm::Interrupted&) -> Result<void> {
                  STACKRIG_TRY(refresh());
                  end(RunEnd::stuck, fmt::format("the guest ran for {} ms without coming back; it is at {}", options_.patience.count(),
                                                 guest_.describe(here().rip)));
                  return {};
              },
              [&](const auto&) -> Result<void> {
                  const Gva before = here().rip;  // kvm-amd resets a CPU that shut down: what is read behind that is no place in the guest
                  STACKRIG_TRY(refresh());
                  end(RunEnd::broken, fmt::format("{} at {} (RSP {}, CR2 {}); before that the CPU was seen at {}", kvm::describe(exit),
                                                  guest_.describe(here().rip), here().rsp, here().cr2, guest_.describe(before)));
                  return {};
              }},
        exit);
}

}  // namespace stackrig::engine
