// The run loop. Everything nondeterministic is decided here or by the plan; the wall clock only ever ends a run.
#include "vmm/engine/runner.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "guest/abi/layout.hpp"
#include "guest/abi/state.hpp"
#include "vmm/engine/boot.hpp"
#include "vmm/engine/events.hpp"
#include "vmm/engine/steer.hpp"
#include "vmm/engine/trace.hpp"
#include "vmm/engine/tracker.hpp"
#include "vmm/machine/breakpoints.hpp"
#include "vmm/machine/deliver.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/machine/stepper.hpp"

namespace stackrig::engine {
namespace {

template <class... Ts>
struct Cases : Ts... {
    using Ts::operator()...;
};
template <class... Ts>
Cases(Ts...) -> Cases<Ts...>;

/// What the engine does after a stop.
enum class Next { go_on, end };

/// Rounds in which every CPU that could run did nothing but wait for another one, after which none ever will do more.
constexpr unsigned hopeless_rounds = 100;

class Run {
  public:
    Run(const x86::Elf& guest, const RunPlan& plan, Observer& observer, const RunOptions& options,
        machine::Machine& machine)
        : guest_(guest), plan_(plan), observer_(observer), options_(options), machine_(machine), breakpoints_(machine),
          steppers_(plan.guest.cpus), tracker_(plan), cpus_(plan.guest.cpus), pending_irqs_(plan.guest.cpus) {
        for (std::uint32_t cpu = 0; cpu < plan.guest.cpus; ++cpu) {
            cpus_[cpu].cpu = CpuId{cpu};
        }
    }

    Result<RunOutcome> go();

  private:
    Result<Next> carry_out(const Step& step);
    Result<Next> run_until(const RunUntil& step);
    Result<Next> run_to_quiet();
    Result<Next> inject(const Inject& step);
    Result<Next> inject_native(const Event& event, CpuId cpu);
    Result<Next> steer_thread(const Event& event, ThreadIndex thread);
    Result<Next> boot();

    Result<Next> advance();
    Result<Next> advance_one_instruction();
    bool choose_cpu(CpuId focus);
    bool can_act(CpuId cpu) const { return !tracker_.quiet(cpu) || !pending_irqs_[cpu.value()].empty(); }
    Next give_up();
    Result<Next> on_exit(const kvm::Exit& exit);
    Result<Next> on_out(const kvm::IoOut& out);
    Result<Next> on_ipi(const kvm::IoOut& out);
    Result<Next> on_in();
    Result<Next> open_window();
    Result<Next> deliver(const Event& event);
    Result<Next> show(StopCause cause, std::optional<Gva> breakpoint = std::nullopt);
    Result<void> refresh();
    Result<std::vector<Gva>> addresses_of(const Place& place) const;
    Result<void> arm(const std::vector<Gva>& addresses);
    Next end(RunEnd how, std::string detail);
    Stop last_stop() const;
    void tell_end();
    std::string guest_text(const CpuState& cpu) const;

    const x86::Elf& guest_;
    const RunPlan& plan_;
    Observer& observer_;
    const RunOptions& options_;
    machine::Machine& machine_;
    machine::Breakpoints breakpoints_;
    std::vector<Gva> armed_;
    std::vector<std::optional<machine::Stepper>> steppers_;  // one per CPU
    bool stepping_ = false;  // from the end of boot on, when every instruction is to be checked
    Tracker tracker_;
    TraceHash trace_;
    std::vector<CpuState> cpus_;
    StopCause last_cause_ = HaltStop{};
    CpuId active_;                                   // the CPU that runs
    std::vector<std::vector<Event>> pending_irqs_;   // per CPU: wait until it takes interrupts
    unsigned fruitless_ = 0;                         // stops in a row at which CPUs only waited for each other
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
    kvm::Vcpu& vcpu = machine_.vcpu(active_);
    STACKRIG_TRY_ASSIGN(const kvm::Regs r, vcpu.regs());
    STACKRIG_TRY_ASSIGN(const kvm::Sregs s, vcpu.sregs());
    STACKRIG_TRY_ASSIGN(const kvm::Events e, vcpu.events());
    CpuState& cpu = cpus_[active_.value()];
    cpu = {.cpu = active_, .rip = Gva(r.rip), .rsp = Gva(r.rsp), .rflags = r.rflags, .cs = s.cs.selector, .cr2 = Gva(s.cr2),
           .cr3 = Gpa(s.cr3), .gs_base = Gva(s.gs.base), .kernel_gs_base = {}, .nmi_masked = e.nmi.masked != 0,
           .gpr = {r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15}};
    return {};
}

Result<Next> Run::show(StopCause cause, std::optional<Gva> breakpoint) {
    STACKRIG_TRY(refresh());
    tracker_.observe(active_, cause);
    fruitless_ = tracker_.relaxing(active_) ? fruitless_ + 1 : 0;
    ++outcome_.stops;
    last_cause_ = cause;
    const Stop stop = last_stop();
    trace_.add(stop);
    reached_ = tracker_.reached(active_, cause, breakpoint);
    if (!observer_.at_stop(stop)) {
        return end(RunEnd::observer, "");
    }
    if (looker_) {
        looker_->observe(active_, cause);
        if (looker_->reached(active_, cause, breakpoint)) {
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
    const CpuState& cpu = cpus_[active_.value()];
    const std::uint64_t a = cpu.gpr[5];
    const std::uint64_t b = cpu.gpr[4];
    const std::uint64_t c = cpu.gpr[3];
    if (out.port == static_cast<std::uint16_t>(abi::Port::user_mark)) {
        return show(UserMarkStop{static_cast<abi::UserMark>(out.value), a});
    }
    if (out.port == static_cast<std::uint16_t>(abi::Port::ipi)) {
        return on_ipi(out);
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

Result<Next> Run::on_ipi(const kvm::IoOut& out) {
    const CpuId target{static_cast<std::uint32_t>(cpus_[active_.value()].gpr[5])};
    const Vector vector{static_cast<std::uint8_t>(out.value)};
    if (target.value() >= machine_.cpus()) {
        return end(RunEnd::broken, fmt::format("the guest sent an interrupt to {}, which does not exist", target));
    }
    auto& waiting = pending_irqs_[target.value()];
    if (vector == Vector{0}) {
        tracker_.start(target);
        STACKRIG_TRY(machine_.start_cpu(target));
        waiting.clear();
        steppers_[target.value()].reset();
    } else if (!tracker_.is_down(target) && std::none_of(waiting.begin(), waiting.end(), [vector](const Event& e) { return e.vector == vector; })) {
        // One bit of the IRR per vector: a second one before the first is taken is lost (SDM 3A 11.8.4).
        waiting.push_back({.kind = EventKind::irq, .vector = vector, .text = fmt::format("IPI {:#x} from {}", vector.value(), active_)});
    }
    tracker_.disturb(target);
    return show(IpiStop{target, vector});
}

Result<Next> Run::on_in() {
    STACKRIG_TRY(refresh());
    const CpuState cpu = cpus_[active_.value()];
    const auto choice = static_cast<abi::Choice>(cpu.gpr[5]);
    const std::uint32_t answer = tracker_.answer(choice, cpu.gpr[4], cpu.gpr[3]);
    STACKRIG_TRY(machine_.vcpu(active_).complete_io_in(answer));
    return show(ChoiceStop{choice, {cpu.gpr[4], cpu.gpr[3]}, answer});
}

Result<Next> Run::open_window() {
    machine_.vcpu(active_).request_interrupt_window(false);
    auto& waiting = pending_irqs_[active_.value()];
    const Event first = waiting.front();
    waiting.erase(waiting.begin());
    return deliver(first);
}

Result<Next> Run::on_exit(const kvm::Exit& exit) {
    const auto broken = [this](const kvm::Exit& what) -> Result<Next> {
        STACKRIG_TRY(refresh());
        return end(RunEnd::broken, fmt::format("{} at {} (RSP {}, CR2 {})", kvm::describe(what), guest_.describe(cpus_[active_.value()].rip),
                                               cpus_[active_.value()].rsp, cpus_[active_.value()].cr2));
    };
    return std::visit(
        Cases{[this](const kvm::IoOut& out) { return on_out(out); },
              [this](const kvm::IoIn&) { return on_in(); },
              [this](const kvm::Hlt&) { return show(HaltStop{}); },
              [this](const kvm::IrqWindow&) { return open_window(); },
              [this](const kvm::Interrupted&) -> Result<Next> {
                  STACKRIG_TRY(refresh());
                  return end(RunEnd::stuck, fmt::format("the guest ran for {} ms without coming back; it is at {}",
                                                        options_.patience.count(), guest_.describe(cpus_[active_.value()].rip)));
              },
              [&](const auto&) { return broken(exit); }},
        exit);
}

/// Picks the CPU that runs next: `focus` as long as it can do anything itself; else the others, one stop each in turn. False when
/// none can.
bool Run::choose_cpu(CpuId focus) {
    const bool focus_waits = tracker_.relaxing(focus) && active_ == focus;
    if (can_act(focus) && !focus_waits) {
        active_ = focus;
        return true;
    }
    for (std::uint32_t i = 1; i <= machine_.cpus(); ++i) {
        const CpuId next{(active_.value() + i) % machine_.cpus()};
        if (can_act(next)) {
            active_ = next;
            return true;
        }
    }
    return false;
}

Next Run::give_up() {
    std::string who;
    for (std::uint32_t i = 0; i < machine_.cpus(); ++i) {
        if (tracker_.relaxing(CpuId{i})) {
            who += fmt::format("{}cpu{} at {}", who.empty() ? "" : ", ", i, guest_.describe(cpus_[i].rip));
        }
    }
    return end(RunEnd::deadlocked, fmt::format("CPUs wait for each other and none will ever go on: {}", who));
}

/// One entry into the guest, up to the next stop.
Result<Next> Run::advance() {
    if (fruitless_ > hopeless_rounds * machine_.cpus()) {
        return give_up();
    }
    if (!pending_irqs_[active_.value()].empty()) {
        STACKRIG_TRY_ASSIGN(const auto why_not, machine::refusal(machine_, active_, machine::Delivery::interrupt));
        if (!why_not) {
            return open_window();
        }
        machine_.vcpu(active_).request_interrupt_window(!stepping_);
    }
    if (stepping_) {
        return advance_one_instruction();
    }
    STACKRIG_TRY_ASSIGN(const machine::BreakpointStop stop, breakpoints_.run(active_, options_.patience));
    return stop.hit ? show(PlaceStop{}, stop.hit) : on_exit(stop.exit);
}

Result<Next> Run::advance_one_instruction() {
    auto& stepper = steppers_[active_.value()];
    if (!stepper) {
        STACKRIG_TRY_ASSIGN(machine::Stepper made, machine::Stepper::create(machine_, active_));
        stepper.emplace(std::move(made));
    }
    STACKRIG_TRY_ASSIGN(const machine::StepStop stop, stepper->step(options_.patience));
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
    const Gva here = cpus_[active_.value()].rip;
    const bool armed = std::find(armed_.begin(), armed_.end(), here) != armed_.end();
    return show(BoundaryStop{}, armed ? std::optional(here) : std::nullopt);
}

Result<Next> Run::deliver(const Event& event) {
    STACKRIG_TRY_ASSIGN(const machine::Landing landing, machine::deliver(machine_, active_, native(event), options_.patience));
    outcome_.events.push_back({event.text, landing.boundary, landing.exact, landing.detail});
    return show(LandedStop{entry_of(event), landing.exact, landing.detail});
}

Result<Next> Run::inject_native(const Event& event, CpuId cpu) {
    active_ = cpu;
    STACKRIG_TRY(refresh());
    if (event.kind == EventKind::async_page_fault) {
        STACKRIG_TRY(announce_async_page_fault(machine_, cpu, guest_));
    }
    if (event.need_resched) {
        tracker_.want_resched();
    }
    const machine::Delivery how = native(event).how;
    STACKRIG_TRY_ASSIGN(const auto why_not, machine::refusal(machine_, active_, how));
    if (!why_not) {
        return deliver(event);
    }
    if (how == machine::Delivery::interrupt) {
        pending_irqs_[cpu.value()].push_back(event);  // as a device would: the line stays up until the CPU takes it
        return Next::go_on;
    }
    return end(RunEnd::undeliverable, fmt::format("{} cannot be delivered at {}: {}", event.text, guest_.describe(cpus_[active_.value()].rip), *why_not));
}

Result<Next> Run::steer_thread(const Event& event, ThreadIndex thread) {
    const std::string& name = plan_.threads[thread].name;
    active_ = tracker_.home(thread);
    STACKRIG_TRY(refresh());
    if (tracker_.current(active_) != guest_id(plan_.guest, thread) || !cpus_[active_.value()].user_mode()) {
        return end(RunEnd::undeliverable, fmt::format("{} needs {} in user mode on {}, but there is {} in {} mode; write \"run {} until user\" first",
                                                      event.text, name, active_, tracker_.name(tracker_.current(active_)),
                                                      cpus_[active_.value()].user_mode() ? "user" : "kernel", name));
    }
    STACKRIG_TRY_ASSIGN(const Steered steered, steer(machine_, active_, guest_, event));
    // The stub's own instruction enters the kernel: the first handler instruction is the proof.
    STACKRIG_TRY(breakpoints_.set(steered.handler));
    STACKRIG_TRY_ASSIGN(const machine::BreakpointStop stop, breakpoints_.run(active_, options_.patience));
    STACKRIG_TRY(arm({}));
    if (!stop.hit) {
        STACKRIG_TRY(refresh());
        return end(RunEnd::broken, fmt::format("{}: instead of {} there was {} at {}", event.text, guest_.describe(steered.handler),
                                               kvm::describe(stop.exit), guest_.describe(cpus_[active_.value()].rip)));
    }
    STACKRIG_TRY_ASSIGN(const std::string detail, verify_steered(machine_, active_, steered));
    outcome_.events.push_back({event.text, steered.instruction, detail.empty(), detail});
    return show(LandedStop{steered.entry, detail.empty(), detail});
}

Result<Next> Run::inject(const Inject& step) {
    if (const auto* thread = std::get_if<ThreadIndex>(&step.target)) {
        return steer_thread(step.event, *thread);
    }
    return inject_native(step.event, std::get<CpuId>(step.target));
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
    if (stepping_) {
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
    fruitless_ = 0;
    const auto focus_now = [&] { return step.thread ? tracker_.home(*step.thread) : step.cpu.value_or(active_); };
    tracker_.disturb(focus_now());  // what runs shows itself once more
    while (!reached_) {
        const CpuId focus = focus_now();
        if (!choose_cpu(focus)) {
            return end(RunEnd::unreachable, fmt::format("\"{}\" cannot be reached any more: {} and only an event could change that",
                                                        step.place.text,
                                                        std::holds_alternative<HaltStop>(last_cause_)
                                                            ? "the CPU is idle"
                                                            : fmt::format("{} spins in user mode", tracker_.name(tracker_.current(active_)))));
        }
        STACKRIG_TRY_ASSIGN(const Next next, advance());
        if (next == Next::end) {
            return next;
        }
    }
    return Next::go_on;
}

Result<Next> Run::run_to_quiet() {
    tracker_.prefer(std::nullopt);
    STACKRIG_TRY(arm({}));
    fruitless_ = 0;
    tracker_.disturb(active_);  // what runs shows itself once more
    while (choose_cpu(active_)) {
        STACKRIG_TRY_ASSIGN(const Next next, advance());
        if (next == Next::end) {
            return next;
        }
    }
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
                                return observer_.at_expect(s.index, last_stop()) ? Next::go_on : end(RunEnd::observer, "");
                            }},
                      step.what);
}

/// Up to the mark that says all threads exist; the schedule starts there.
Result<Next> Run::boot() {
    const Place booted{.kind = Place::Kind::mark, .mark = abi::Mark::boot_done, .text = "the end of the guest's boot"};
    STACKRIG_TRY_ASSIGN(const Next next, run_until({.thread = std::nullopt, .cpu = CpuId{0}, .place = booted}));
    stepping_ = plan_.check_every_instruction;
    return next;
}

Stop Run::last_stop() const {
    return {.index = outcome_.stops, .step = outcome_.step, .cpu = active_, .cause = last_cause_, .cpus = cpus_,
            .memory = machine_.clean_memory()};
}

void Run::tell_end() {
    bool quiet = outcome_.end == RunEnd::finished || outcome_.end == RunEnd::unreachable;
    for (std::uint32_t i = 0; i < machine_.cpus(); ++i) {
        quiet = quiet && !can_act(CpuId{i});
    }
    observer_.at_end(last_stop(), quiet ? Ending::quiet : outcome_.end == RunEnd::deadlocked ? Ending::deadlocked : Ending::other);
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
    tell_end();
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
