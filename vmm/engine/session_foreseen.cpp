// Events whose landing is shown before the guest is entered, and proved behind it.
#include <fmt/format.h>

#include "vmm/engine/events.hpp"
#include "vmm/engine/session.hpp"
#include "vmm/machine/deliver.hpp"

namespace stackrig::engine {
namespace {

constexpr std::size_t gpr_rsp = 7;  // in CpuState::gpr

}  // namespace

/// Whether the CPU that is about to run goes on behind the next stop, too, as choose_cpu() will have it.
bool Session::goes_on_itself() const {
    const Step* const step = current_step();
    const auto* until = step != nullptr ? std::get_if<RunUntil>(&step->what) : nullptr;
    bool others = false;
    for (std::uint32_t i = 0; i < machine_->cpus(); ++i) {
        others = others || (CpuId{i} != now_.active && can_act(CpuId{i}));
    }
    return !others || until == nullptr || focus_of(*until) == now_.active;
}

Result<bool> Session::inject_foreseen(const Event& event) {
    const bool irq_waits = !now_.pending_irqs[now_.active.value()].empty();
    if (checks_every_instruction() || decides_in_user_mode() || irq_waits || event.kind == EventKind::async_page_fault || !goes_on_itself()) {
        return false;
    }
    if (stepping()) {  // its traps lie over all handlers
        stop_stepping();
        STACKRIG_TRY(arm());
    }
    STACKRIG_TRY(refresh());
    STACKRIG_TRY_ASSIGN(const auto why_not, refusal(event));
    if (why_not) {
        return false;
    }
    STACKRIG_TRY_ASSIGN(const auto foresight, machine::foresee(*machine_, now_.active, native(event)));
    // A breakpoint over the handler means a CPU that comes by or returns there, not one that an event has put there.
    if (!foresight || breakpoints_.at(foresight->handler) || here().rip == foresight->handler) {
        return false;
    }
    if (event.need_resched) {
        now_.tracker.want_resched();
    }
    STACKRIG_TRY(machine::queue_foreseen(*machine_, native(event), *foresight));
    foresight_ = foresight;
    const CpuState from = here();
    CpuState& cpu = now_.cpus[now_.active.value()];
    cpu.rip = foresight->handler;
    cpu.rsp = foresight->rsp;
    cpu.gpr[gpr_rsp] = foresight->rsp.value();
    cpu.rflags = foresight->rflags;
    cpu.cs = foresight->cs;
    cpu.nmi_masked = cpu.nmi_masked || foresight->nmi_masked;
    STACKRIG_TRY(note_landing(event, from, {.boundary = from.rip, .handler = foresight->handler, .exact = true, .detail = {}}));
    return true;
}

/// Whatever would move the CPU before it has taken the event.
Result<void> Session::nothing_on_its_way() const {
    return foresight_ ? fail(ErrorKind::rig, fmt::format("an event is on its way on {}: only go() can follow", foresight_->cpu)) : Result<void>{};
}

/// The entry that takes the event.
Result<void> Session::go_as_foreseen() {
    STACKRIG_TRY(foresight_->cpu == now_.active ? Result<void>{} : nothing_on_its_way());
    STACKRIG_TRY(machine::scrub(*machine_, *foresight_));
    STACKRIG_TRY_ASSIGN(const machine::BreakpointStop stop, breakpoints_.run_into_event(now_.active, options_.patience));
    if (!machine::came_true(*machine_, *foresight_)) {
        end(RunEnd::broken, "the event did not land as foreseen");
        return {};
    }
    foresight_.reset();
    return on_stop(stop, false);
}

}  // namespace stackrig::engine
