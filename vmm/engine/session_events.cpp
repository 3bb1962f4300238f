// Putting events into a run: those of the schedule, and those that decisions name.
#include <algorithm>
#include <fmt/format.h>

#include "guest/abi/layout.hpp"
#include "vmm/engine/boot.hpp"
#include "vmm/engine/events.hpp"
#include "vmm/engine/session.hpp"
#include "vmm/engine/steer.hpp"
#include "vmm/machine/deliver.hpp"

namespace stackrig::engine {
namespace {

bool in_user_code(Gva address) { return address.value() < abi::kernel_map_base; }

}  // namespace

Result<void> Session::deliver(const Event& event) {
    STACKRIG_TRY(refresh());
    const CpuState from = here();
    STACKRIG_TRY_ASSIGN(const machine::Landing landing, machine::deliver(*machine_, now_.active, native(event), options_.patience));
    STACKRIG_TRY(refresh());
    return note_landing(event, from, landing);
}

/// The CPU's registers are those at the handler's first instruction.
Result<void> Session::note_landing(const Event& event, const CpuState& from, const machine::Landing& landing) {
    now_.fresh = true;
    now_.arrival = {};
    now_.outcome.events.push_back({event.text, landing.boundary, landing.exact, landing.detail});
    if (!from.user_mode() && landing.exact) {
        now_.returns.push_back({from.rip, from.rsp});
        STACKRIG_TRY(stepping() ? Result<void>{} : arm());
    }
    return show_as_read(LandedStop{entry_of(event), from.user_mode(), landing.exact, landing.detail, from.irqs_on()});
}

Result<void> Session::inject(const Inject& step) {
    if (const auto* thread = std::get_if<ThreadIndex>(&step.target)) {
        return steer_thread(step.event, *thread);
    }
    return inject_native(step.event, std::get<CpuId>(step.target));
}

Result<void> Session::inject_native(const Event& event, CpuId cpu) {
    STACKRIG_TRY(nothing_on_its_way());
    now_.active = cpu;
    STACKRIG_TRY(refresh());
    if (event.kind == EventKind::async_page_fault) {
        STACKRIG_TRY(announce_async_page_fault(*machine_, cpu, guest_));
    }
    if (event.need_resched) {
        now_.tracker.want_resched();
    }
    STACKRIG_TRY_ASSIGN(const auto why_not, machine::refusal(*machine_, cpu, native(event).how));
    if (!why_not) {
        return deliver(event);
    }
    if (native(event).how == machine::Delivery::interrupt) {
        now_.pending_irqs[cpu.value()].push_back(event);  // as a device would: the line stays up until the CPU takes it
        return {};
    }
    end(RunEnd::undeliverable, fmt::format("{} cannot be delivered at {}: {}", event.text, guest_.describe(here().rip), *why_not));
    return {};
}

Result<void> Session::steer_thread(const Event& event, ThreadIndex thread) {
    const std::string& name = plan_.threads[thread].name;
    now_.active = now_.tracker.home(thread);
    STACKRIG_TRY(refresh());
    if (now_.tracker.current(now_.active) != guest_id(plan_.guest, thread) || !here().user_mode()) {
        end(RunEnd::undeliverable, fmt::format("{} needs {} in user mode on {}, but there is {} in {} mode; write \"run {} until user\" first",
                                               event.text, name, now_.active, now_.tracker.name(now_.tracker.current(now_.active)),
                                               here().user_mode() ? "user" : "kernel", name));
        return {};
    }
    stop_stepping();
    STACKRIG_TRY_ASSIGN(const Steered steered, steer(*machine_, now_.active, guest_, event));
    // The stub's own instruction enters the kernel: the first handler instruction is the proof.
    machine_->vcpu(now_.active).request_interrupt_window(false);
    STACKRIG_TRY(breakpoints_.set_only({steered.handler}));
    STACKRIG_TRY_ASSIGN(const machine::BreakpointStop stop, breakpoints_.run(now_.active, options_.patience));
    STACKRIG_TRY(arm());
    now_.fresh = true;
    now_.arrival = {};
    if (!stop.hit) {
        STACKRIG_TRY(refresh());
        end(RunEnd::broken, fmt::format("{}: instead of {} there was {} at {}", event.text, guest_.describe(steered.handler),
                                        kvm::describe(stop.exit), guest_.describe(here().rip)));
        return {};
    }
    STACKRIG_TRY_ASSIGN(const std::string detail, verify_steered(*machine_, now_.active, steered));
    now_.outcome.events.push_back({event.text, steered.instruction, detail.empty(), detail});
    return show(LandedStop{steered.entry, true, detail.empty(), detail});
}

Result<std::optional<std::string>> Session::refusal(const Event& event) {
    return machine::refusal(*machine_, now_.active, native(event).how);
}

Result<void> Session::inject_here(const Event& event) {
    return inject_native(event, now_.active);
}

/// Once for each boundary that the guest is about to leave: counts it for the decisions, and finds the one that is due.
std::optional<std::size_t> Session::arrive() {
    if (!now_.fresh || now_.booting) {
        return std::nullopt;
    }
    now_.fresh = false;
    std::optional<std::size_t> due;
    for (std::size_t i = 0; i < plan_.decisions.size(); ++i) {
        const auto* inject = std::get_if<InjectAt>(&plan_.decisions[i].what);
        if (inject == nullptr || now_.taken[i] || inject->at.address != here().rip ||
            (inject->at.thread && now_.tracker.current(now_.active) != guest_id(plan_.guest, *inject->at.thread))) {
            continue;
        }
        if (++now_.arrivals[i] == inject->at.occurrence && !due) {
            due = i;
        }
    }
    return due;
}

Result<void> Session::take(std::size_t decision) {
    const Event& event = std::get<InjectAt>(plan_.decisions[decision].what).event;
    now_.taken[decision] = true;
    STACKRIG_TRY_ASSIGN(const auto why_not, refusal(event));
    if (why_not) {
        end(RunEnd::undeliverable, fmt::format("\"{}\" cannot be done: at {} {}", plan_.decisions[decision].text,
                                               guest_.describe(here().rip), *why_not));
        return {};
    }
    STACKRIG_TRY(arm());
    return inject_here(event);
}

bool Session::fails_by_decision(std::uint32_t thread) {
    if (now_.booting || thread >= now_.allocations.size()) {
        return false;
    }
    ++now_.allocations[thread];
    std::uint32_t all = 0;
    for (const std::uint32_t count : now_.allocations) {
        all += count;
    }
    const auto hits = [&](const FailAllocation& failure) {
        if (failure.thread && guest_id(plan_.guest, *failure.thread) != thread) {
            return false;
        }
        const std::uint32_t count = failure.thread ? now_.allocations[thread] : all;
        return count == failure.nth || (failure.and_all_later && count > failure.nth);
    };
    bool fails = std::any_of(now_.failures.begin(), now_.failures.end(), hits);
    for (std::size_t i = 0; i < plan_.decisions.size(); ++i) {
        const auto* failure = std::get_if<FailAllocation>(&plan_.decisions[i].what);
        if (failure != nullptr && hits(*failure)) {
            now_.taken[i] = true;
            fails = true;
        }
    }
    return fails;
}

/// A breakpoint is a HLT, which is for kernel code only.
bool Session::decides_in_user_mode() const {
    for (std::size_t i = 0; i < plan_.decisions.size(); ++i) {
        const auto* inject = std::get_if<InjectAt>(&plan_.decisions[i].what);
        if (inject != nullptr && !now_.taken[i] && in_user_code(inject->at.address)) {
            return true;
        }
    }
    return false;
}

std::vector<Gva> Session::decision_addresses() const {
    std::vector<Gva> addresses;
    for (std::size_t i = 0; i < plan_.decisions.size() && !now_.booting; ++i) {
        const auto* inject = std::get_if<InjectAt>(&plan_.decisions[i].what);
        if (inject != nullptr && !now_.taken[i] && !in_user_code(inject->at.address)) {
            addresses.push_back(inject->at.address);
        }
    }
    return addresses;
}

}  // namespace stackrig::engine
