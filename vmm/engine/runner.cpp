// The run loop. Everything nondeterministic is decided here or by the plan; the wall clock only ever ends a run.
#include "vmm/engine/runner.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "guest/abi/layout.hpp"
#include "guest/abi/state.hpp"
#include "vmm/engine/boot.hpp"
#include "vmm/engine/steer.hpp"
#include "vmm/engine/trace.hpp"
#include "vmm/engine/tracker.hpp"
#include "vmm/machine/breakpoints.hpp"
#include "vmm/machine/deliver.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/machine/stepper.hpp"

namespace stackrig::engine {
namespace {

constexpr CpuId cpu0{0};

template <class... Ts>
struct Cases : Ts... {
    using Ts::operator()...;
};
template <class... Ts>
Cases(Ts...) -> Cases<Ts...>;

/// What the engine does after a stop.
enum class Next { go_on, end };

machine::NativeEvent native(const Event& event) {
    using machine::Delivery;
    switch (event.kind) {
        case EventKind::irq: return {.how = Delivery::interrupt, .vector = event.vector};
        case EventKind::nmi: return {.how = Delivery::nmi};
        case EventKind::machine_check: return {.how = Delivery::machine_check};
        case EventKind::debug: return {.how = Delivery::exception, .vector = Vector{1}};
        case EventKind::int3: return {.how = Delivery::int3};
        case EventKind::invalid_op: return {.how = Delivery::exception, .vector = Vector{6}};
        case EventKind::general_protection:
            return {.how = Delivery::exception, .vector = Vector{13}, .error_code = event.error_code};
        case EventKind::page_fault:
        case EventKind::call:
            return {.how = Delivery::exception, .vector = Vector{14}, .error_code = event.error_code, .cr2 = event.address};
    }
    return {};
}

abi::Entry entry_of(Vector vector) {
    switch (vector.value()) {
        case 1: return abi::Entry::debug;
        case 2: return abi::Entry::nmi;
        case 3: return abi::Entry::int3;
        case 6: return abi::Entry::invalid_op;
        case 13: return abi::Entry::general_protection;
        case 14: return abi::Entry::page_fault;
        case 18: return abi::Entry::machine_check;
        case abi::timer_vector: return abi::Entry::timer;
        default: return abi::Entry::device;
    }
}

Vector vector_of(const Event& event) {
    switch (event.kind) {
        case EventKind::nmi: return Vector{2};
        case EventKind::int3: return Vector{3};
        case EventKind::machine_check: return Vector{18};
        default: return native(event).vector;
    }
}

class Run {
  public:
    Run(const x86::Elf& guest, const RunPlan& plan, Observer& observer, const RunOptions& options,
        machine::Machine& machine)
        : guest_(guest), plan_(plan), observer_(observer), options_(options), machine_(machine), breakpoints_(machine),
          tracker_(plan), cpus_(plan.guest.cpus) {}

    Result<RunOutcome> go();

  private:
    Result<Next> carry_out(const Step& step);
    Result<Next> run_until(const RunUntil& step);
    Result<Next> run_to_quiet();
    Result<Next> inject(const Inject& step);
    Result<Next> inject_native(const Event& event);
    Result<Next> steer_thread(const Event& event, ThreadIndex thread);
    Result<Next> boot();

    Result<Next> advance();
    Result<Next> advance_one_instruction();
    Result<Next> on_exit(const kvm::Exit& exit);
    Result<Next> on_out(const kvm::IoOut& out);
    Result<Next> on_in();
    Result<Next> open_window();
    Result<Next> deliver(const Event& event);
    Result<Next> show(StopCause cause, std::optional<Gva> breakpoint = std::nullopt);
    Result<void> refresh();
    Result<std::vector<Gva>> addresses_of(const Place& place) const;
    Result<void> arm(const std::vector<Gva>& addresses);
    Next end(RunEnd how, std::string detail);
    std::string guest_text(const CpuState& cpu) const;

    const x86::Elf& guest_;
    const RunPlan& plan_;
    Observer& observer_;
    const RunOptions& options_;
    machine::Machine& machine_;
    machine::Breakpoints breakpoints_;
    std::vector<Gva> armed_;
    std::optional<machine::Stepper> stepper_;  // from the end of boot on, when every instruction is to be checked
    Tracker tracker_;
    TraceHash trace_;
    std::vector<CpuState> cpus_;
    StopCause last_cause_ = HaltStop{};
    std::optional<Event> pending_irq_;  // waits for the CPU to take interrupts
    bool reached_ = false;              // the current step's place, by the last stop
    std::optional<Tracker> looker_;     // for RunOptions::look_at, independent of the steps
    std::vector<Gva> look_addresses_;
    RunOutcome outcome_;
};

Next Run::end(RunEnd how, std::string detail) {
    outcome_.end = how;
    outcome_.detail = std::move(detail);
    return Next::end;
}

Result<void> Run::refresh() {
    kvm::Vcpu& vcpu = machine_.vcpu(cpu0);
    STACKRIG_TRY_ASSIGN(const kvm::Regs r, vcpu.regs());
    STACKRIG_TRY_ASSIGN(const kvm::Sregs s, vcpu.sregs());
    STACKRIG_TRY_ASSIGN(const kvm::Events e, vcpu.events());
    CpuState& cpu = cpus_[0];
    cpu = {.cpu = cpu0, .rip = Gva(r.rip), .rsp = Gva(r.rsp), .rflags = r.rflags, .cs = s.cs.selector, .cr2 = Gva(s.cr2),
           .cr3 = Gpa(s.cr3), .gs_base = Gva(s.gs.base), .kernel_gs_base = {}, .nmi_masked = e.nmi.masked != 0,
           .gpr = {r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15}};
    return {};
}

Result<Next> Run::show(StopCause cause, std::optional<Gva> breakpoint) {
    STACKRIG_TRY(refresh());
    tracker_.observe(cpu0, cause);
    ++outcome_.stops;
    last_cause_ = cause;
    const Stop stop{.index = outcome_.stops, .step = outcome_.step, .cpu = cpu0, .cause = cause, .cpus = cpus_,
                    .memory = machine_.clean_memory()};
    trace_.add(stop);
    reached_ = tracker_.reached(cpu0, cause, breakpoint);
    if (!observer_.at_stop(stop)) {
        return end(RunEnd::observer, "");
    }
    if (looker_) {
        looker_->observe(cpu0, cause);
        if (looker_->reached(cpu0, cause, breakpoint)) {
            return end(RunEnd::looked, "");
        }
    }
    if (outcome_.stops >= plan_.max_stops) {
        return end(RunEnd::budget, fmt::format("the budget of {} stops is used up in step {} (\"{}\")", plan_.max_stops,
                                               outcome_.step + 1, plan_.schedule[outcome_.step].text));
    }
    return Next::go_on;
}

std::string Run::guest_text(const CpuState& cpu) const {
    constexpr std::size_t longest = 200;
    std::string text(std::min<std::size_t>(cpu.gpr[4], longest), '\0');
    const Gva at(cpu.gpr[5]);
    if (at.value() < abi::kernel_map_base ||
        !machine_.clean_memory().read(Gpa(at.value() - abi::kernel_map_base), std::as_writable_bytes(std::span(text)))) {
        return fmt::format("(a message at {}, outside the kernel image)", at);
    }
    return text;
}

Result<Next> Run::on_out(const kvm::IoOut& out) {
    STACKRIG_TRY(refresh());
    const CpuState& cpu = cpus_[0];
    const std::uint64_t a = cpu.gpr[5];
    const std::uint64_t b = cpu.gpr[4];
    const std::uint64_t c = cpu.gpr[3];
    if (out.port == static_cast<std::uint16_t>(abi::Port::user_mark)) {
        return show(UserMarkStop{static_cast<abi::UserMark>(out.value), a});
    }
    if (out.port != static_cast<std::uint16_t>(abi::Port::mark)) {
        return end(RunEnd::broken, fmt::format("the guest wrote {:#x} to port {:#x}, which is none of the rig's", out.value, out.port));
    }
    const auto mark = static_cast<abi::Mark>(out.value);
    if (mark == abi::Mark::warn || mark == abi::Mark::panic) {
        outcome_.console.push_back(guest_text(cpu));
    }
    STACKRIG_TRY_ASSIGN(const Next next, show(MarkStop{mark, {a, b, c}}));
    if (mark == abi::Mark::panic && next == Next::go_on) {
        return end(RunEnd::panic, fmt::format("the guest panicked: {}", outcome_.console.back()));
    }
    return next;
}

Result<Next> Run::on_in() {
    STACKRIG_TRY(refresh());
    const CpuState cpu = cpus_[0];
    const auto choice = static_cast<abi::Choice>(cpu.gpr[5]);
    const std::uint32_t answer = tracker_.answer(choice, cpu.gpr[4], cpu.gpr[3]);
    STACKRIG_TRY(machine_.vcpu(cpu0).complete_io_in(answer));
    return show(ChoiceStop{choice, {cpu.gpr[4], cpu.gpr[3]}, answer});
}

Result<Next> Run::open_window() {
    machine_.vcpu(cpu0).request_interrupt_window(false);
    return deliver(*std::exchange(pending_irq_, std::nullopt));
}

Result<Next> Run::on_exit(const kvm::Exit& exit) {
    const auto broken = [this](const kvm::Exit& what) -> Result<Next> {
        STACKRIG_TRY(refresh());
        return end(RunEnd::broken, fmt::format("{} at {} (RSP {}, CR2 {})", kvm::describe(what), guest_.describe(cpus_[0].rip),
                                               cpus_[0].rsp, cpus_[0].cr2));
    };
    return std::visit(
        Cases{[this](const kvm::IoOut& out) { return on_out(out); },
              [this](const kvm::IoIn&) { return on_in(); },
              [this](const kvm::Hlt&) { return show(HaltStop{}); },
              [this](const kvm::IrqWindow&) { return open_window(); },
              [this](const kvm::Interrupted&) -> Result<Next> {
                  STACKRIG_TRY(refresh());
                  return end(RunEnd::stuck, fmt::format("the guest ran for {} ms without coming back; it is at {}",
                                                        options_.patience.count(), guest_.describe(cpus_[0].rip)));
              },
              [&](const auto&) { return broken(exit); }},
        exit);
}

/// One entry into the guest, up to the next stop.
Result<Next> Run::advance() {
    if (pending_irq_) {
        STACKRIG_TRY_ASSIGN(const auto why_not, machine::refusal(machine_, cpu0, machine::Delivery::interrupt));
        if (!why_not) {
            return open_window();
        }
        machine_.vcpu(cpu0).request_interrupt_window(!stepper_);
    }
    if (stepper_) {
        return advance_one_instruction();
    }
    STACKRIG_TRY_ASSIGN(const machine::BreakpointStop stop, breakpoints_.run(cpu0, options_.patience));
    return stop.hit ? show(PlaceStop{}, stop.hit) : on_exit(stop.exit);
}

Result<Next> Run::advance_one_instruction() {
    STACKRIG_TRY_ASSIGN(const machine::StepStop stop, stepper_->step(options_.patience));
    if (stop.skipped) {
        return end(RunEnd::broken, fmt::format("the host ran over a boundary behind {}: it cannot step exactly", guest_.describe(stop.from)));
    }
    if (const auto* exited = std::get_if<machine::Exited>(&stop.what)) {
        return on_exit(exited->exit);
    }
    if (std::holds_alternative<machine::Halted>(stop.what)) {
        return show(HaltStop{});
    }
    STACKRIG_TRY(refresh());
    const Gva here = cpus_[0].rip;
    const bool armed = std::find(armed_.begin(), armed_.end(), here) != armed_.end();
    return show(BoundaryStop{}, armed ? std::optional(here) : std::nullopt);
}

Result<Next> Run::deliver(const Event& event) {
    STACKRIG_TRY_ASSIGN(const machine::Landing landing, machine::deliver(machine_, cpu0, native(event), options_.patience));
    outcome_.events.push_back({event.text, landing.boundary, landing.exact, landing.detail});
    return show(LandedStop{entry_of(vector_of(event)), landing.exact, landing.detail});
}

Result<Next> Run::inject_native(const Event& event) {
    if (event.need_resched) {
        tracker_.want_resched();
    }
    const machine::Delivery how = native(event).how;
    STACKRIG_TRY_ASSIGN(const auto why_not, machine::refusal(machine_, cpu0, how));
    if (!why_not) {
        return deliver(event);
    }
    if (how == machine::Delivery::interrupt && !pending_irq_) {
        pending_irq_ = event;  // as a device would: the line stays up until the CPU takes it
        return Next::go_on;
    }
    return end(RunEnd::undeliverable, fmt::format("{} cannot be delivered at {}: {}", event.text, guest_.describe(cpus_[0].rip), *why_not));
}

Result<Next> Run::steer_thread(const Event& event, ThreadIndex thread) {
    const std::string& name = plan_.threads[thread].name;
    if (tracker_.current(cpu0) != guest_id(plan_.guest, thread) || !cpus_[0].user_mode()) {
        return end(RunEnd::undeliverable, fmt::format("{} needs {} in user mode on cpu0, but there is {} in {} mode; write \"run {} until user\" first",
                                                      event.text, name, tracker_.name(tracker_.current(cpu0)),
                                                      cpus_[0].user_mode() ? "user" : "kernel", name));
    }
    STACKRIG_TRY_ASSIGN(const Steered steered, steer(machine_, cpu0, guest_, event));
    // The stub's own instruction enters the kernel: the first handler instruction is the proof.
    STACKRIG_TRY(breakpoints_.set(steered.handler));
    STACKRIG_TRY_ASSIGN(const machine::BreakpointStop stop, breakpoints_.run(cpu0, options_.patience));
    STACKRIG_TRY(arm({}));
    if (!stop.hit) {
        STACKRIG_TRY(refresh());
        return end(RunEnd::broken, fmt::format("{}: instead of {} there was {} at {}", event.text, guest_.describe(steered.handler),
                                               kvm::describe(stop.exit), guest_.describe(cpus_[0].rip)));
    }
    STACKRIG_TRY_ASSIGN(const std::string detail, verify_steered(machine_, cpu0, steered));
    outcome_.events.push_back({event.text, steered.instruction, detail.empty(), detail});
    return show(LandedStop{steered.entry, detail.empty(), detail});
}

Result<Next> Run::inject(const Inject& step) {
    if (const auto* thread = std::get_if<ThreadIndex>(&step.target)) {
        return steer_thread(step.event, *thread);
    }
    return inject_native(step.event);
}

/// The addresses whose breakpoints make the place; none for places that marks make.
Result<std::vector<Gva>> Run::addresses_of(const Place& place) const {
    std::vector<Gva> addresses;
    if (place.kind == Place::Kind::symbol) {
        addresses.push_back(place.address);
    }
    for (const abi::EntryClass& row : abi::entry_classes) {
        // Entry::none stands for either interrupt.
        const bool irq = row.entry == abi::Entry::timer || row.entry == abi::Entry::device;
        if (place.kind == Place::Kind::handler && ((row.entry == place.entry && *row.stub != 0) || (place.entry == abi::Entry::none && irq))) {
            STACKRIG_TRY_ASSIGN(const Gva address, guest_symbol(guest_, row.stub));
            addresses.push_back(address);
        }
    }
    return addresses;
}

/// Breakpoints for the step's addresses and for those of the place to look at.
Result<void> Run::arm(const std::vector<Gva>& addresses) {
    STACKRIG_TRY(breakpoints_.clear());
    armed_ = addresses;
    armed_.insert(armed_.end(), look_addresses_.begin(), look_addresses_.end());
    if (stepper_) {
        return {};  // every boundary is visited anyway
    }
    for (const Gva address : armed_) {
        STACKRIG_TRY(breakpoints_.set(address));
    }
    return {};
}

Result<Next> Run::run_until(const RunUntil& step) {
    tracker_.prefer(step.thread);
    STACKRIG_TRY_ASSIGN(const auto addresses, addresses_of(step.place));
    STACKRIG_TRY(arm(addresses));
    reached_ = tracker_.begin(step.place, addresses);
    while (!reached_) {
        STACKRIG_TRY_ASSIGN(const Next next, advance());
        if (next == Next::end) {
            return next;
        }
        if (!reached_ && tracker_.quiet() && !pending_irq_) {
            return end(RunEnd::unreachable, fmt::format("\"{}\" cannot be reached any more: {} and only an event could change that",
                                                        step.place.text,
                                                        std::holds_alternative<HaltStop>(last_cause_)
                                                            ? "the CPU is idle"
                                                            : fmt::format("{} spins in user mode", tracker_.name(tracker_.current(cpu0)))));
        }
    }
    return Next::go_on;
}

Result<Next> Run::run_to_quiet() {
    tracker_.prefer(std::nullopt);
    STACKRIG_TRY(arm({}));
    do {
        STACKRIG_TRY_ASSIGN(const Next next, advance());
        if (next == Next::end) {
            return next;
        }
    } while (!tracker_.quiet() || pending_irq_);
    return Next::go_on;
}

Result<Next> Run::carry_out(const Step& step) {
    return std::visit(Cases{[this](const RunUntil& s) { return run_until(s); },
                            [this](const RunToQuiet&) { return run_to_quiet(); },
                            [this](const Inject& s) { return inject(s); },
                            [this](const AllocPolicy& s) -> Result<Next> {
                                tracker_.set_alloc_policy(s);
                                return Next::go_on;
                            },
                            [this](const Expect& s) -> Result<Next> {
                                const Stop stop{.index = outcome_.stops, .step = outcome_.step, .cpu = cpu0, .cause = last_cause_,
                                                .cpus = cpus_, .memory = machine_.clean_memory()};
                                return observer_.at_expect(s.index, stop) ? Next::go_on : end(RunEnd::observer, "");
                            }},
                      step.what);
}

/// Up to the mark that says all threads exist; the schedule starts there.
Result<Next> Run::boot() {
    const Place booted{.kind = Place::Kind::mark, .mark = abi::Mark::boot_done, .text = "the end of the guest's boot"};
    STACKRIG_TRY_ASSIGN(const Next next, run_until({.thread = std::nullopt, .place = booted}));
    if (plan_.check_every_instruction) {
        STACKRIG_TRY_ASSIGN(machine::Stepper stepper, machine::Stepper::create(machine_, cpu0));
        stepper_.emplace(std::move(stepper));
    }
    return next;
}

Result<RunOutcome> Run::go() {
    if (options_.look_at) {
        looker_.emplace(plan_);
        STACKRIG_TRY_ASSIGN(look_addresses_, addresses_of(*options_.look_at));
        (void)looker_->begin(*options_.look_at, look_addresses_);
    }
    STACKRIG_TRY_ASSIGN(Next next, boot());
    for (std::size_t i = 0; next == Next::go_on && i < plan_.schedule.size(); ++i) {
        outcome_.step = i;
        STACKRIG_TRY_ASSIGN(next, carry_out(plan_.schedule[i]));
        if (next == Next::go_on && options_.look_at && options_.look_at->kind == Place::Kind::step && options_.look_at->occurrence == i + 1) {
            next = end(RunEnd::looked, "");
        }
    }
    outcome_.trace_hash = trace_.value();
    if (options_.at_end) {
        options_.at_end();
    }
    return outcome_;
}

}  // namespace

Result<void> check_guest(const x86::Elf& guest) {
    const auto note = guest.note("stackrig");
    std::array<std::uint32_t, 2> versions{};
    if (!note || note->size() != sizeof versions) {
        return fail(ErrorKind::usage, fmt::format("{} is no guest of this rig: it carries no \"stackrig\" note. Build it with `ninja -C build`",
                                                  guest.path()));
    }
    std::memcpy(versions.data(), note->data(), sizeof versions);
    if (versions != std::array{abi::abi_version, abi::layout_hash()}) {
        return fail(ErrorKind::usage, fmt::format("{} speaks ABI version {} with layout {:#x}, this program version {} with layout {:#x}: build "
                                                  "both from one tree",
                                                  guest.path(), versions[0], versions[1], abi::abi_version, abi::layout_hash()));
    }
    return {};
}

Result<RunOutcome> run(const kvm::System& system, const x86::Elf& guest, const RunPlan& plan, Observer& observer,
                       const RunOptions& options) {
    STACKRIG_TRY(check_guest(guest));
    const auto params = make_boot_params(plan);
    machine::MachineOptions machine_options{.ram_bytes = plan.guest.ram_bytes,
                                            .cpus = plan.guest.cpus,
                                            .entry = Gpa(guest.entry()),
                                            .boot_params_at = Gpa(abi::boot_params_pa),
                                            .boot_params = std::as_bytes(std::span(params.get(), 1)),
                                            .kernel_map_base = Gva(abi::kernel_map_base)};
    for (const x86::ElfSegment& segment : guest.segments()) {
        machine_options.image.push_back({segment.physical, segment.bytes, segment.memory_bytes});
    }
    STACKRIG_TRY_ASSIGN(const auto machine, machine::Machine::create(system, machine_options));
    return Run(guest, plan, observer, options, *machine).go();
}

}  // namespace stackrig::engine
