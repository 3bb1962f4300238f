// Walking through the schedule: which step, which CPU, which places; saving and restoring.
#include "vmm/engine/session.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "guest/abi/layout.hpp"
#include "vmm/engine/boot.hpp"
#include "vmm/engine/invalidation.hpp"
#include "vmm/engine/steer.hpp"

namespace stackrig::engine {
namespace {

template <class... Ts>
struct Cases : Ts... {
    using Ts::operator()...;
};
template <class... Ts>
Cases(Ts...) -> Cases<Ts...>;

/// Rounds in which every CPU that could run did nothing but wait for another one, after which none ever will do more.
constexpr unsigned hopeless_rounds = 100;

bool contains(const std::vector<Gva>& addresses, Gva address) {
    return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

}  // namespace

bool Session::State::stands_on_place() const {
    const Gva rip = cpus[active.value()].rip;
    return contains(places, rip) && arrival.news(rip);
}

bool Session::State::same_future(const State& other) const {
    const auto vectors = [](const std::vector<std::vector<Event>>& all) {
        std::vector<std::vector<Vector>> out;
        for (const auto& events : all) {
            std::transform(events.begin(), events.end(), std::back_inserter(out.emplace_back()), [](const Event& e) { return e.vector; });
        }
        return out;
    };
    const auto no_irq = [](const auto& all) { return std::all_of(all.begin(), all.end(), [](const auto& v) { return v.empty(); }); };
    const auto lasting = [](const std::vector<FailAllocation>& all) {
        return std::any_of(all.begin(), all.end(), [](const FailAllocation& f) { return f.and_all_later; });
    };
    return lasting(failures) == lasting(other.failures) && step == other.step && booting == other.booting && begun == other.begun && chosen == other.chosen && reached == other.reached &&
           active == other.active && fruitless == other.fruitless && over == other.over && stands_on_place() == other.stands_on_place() && tracker == other.tracker && returns == other.returns &&
           ((no_irq(pending_irqs) && no_irq(other.pending_irqs)) || vectors(pending_irqs) == vectors(other.pending_irqs));
}

Session::Session(const x86::Elf& guest, const RunPlan& plan, Observer& observer, RunOptions options,
                 std::unique_ptr<machine::Machine> machine)
    : guest_(guest), plan_(plan), observer_(observer), options_(std::move(options)), machine_(std::move(machine)),
      breakpoints_(*machine_), steppers_(plan.guest.cpus), now_{.tracker = Tracker(plan)} {
    boot_step_.what = RunUntil{.thread = std::nullopt, .cpu = CpuId{0},
                               .place = {.kind = Place::Kind::mark, .mark = abi::Mark::boot_done, .text = "the end of the guest's boot"}};
    boot_step_.text = "boot";
    now_.cpus.resize(plan.guest.cpus);
    for (std::uint32_t cpu = 0; cpu < plan.guest.cpus; ++cpu) {
        now_.cpus[cpu].cpu = CpuId{cpu};
    }
    now_.pending_irqs.resize(plan.guest.cpus);
    now_.arrivals.resize(plan.decisions.size());
    now_.taken.resize(plan.decisions.size());
    now_.allocations.resize(plan.guest.cpus + plan.threads.size());
}

Result<std::unique_ptr<Session>> Session::create(const kvm::System& system, const x86::Elf& guest, const RunPlan& plan, Observer& observer,
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
    STACKRIG_TRY_ASSIGN(auto machine, machine::Machine::create(system, machine_options));
    std::unique_ptr<Session> session(new Session(guest, plan, observer, options, std::move(machine)));
    if (options.look_at) {
        STACKRIG_TRY(session->look_for(*options.look_at));
    }
    return session;
}

Result<void> Session::look_for(const Place& place) {
    looker_.emplace(plan_);
    STACKRIG_TRY_ASSIGN(look_addresses_, addresses_of(place));
    (void)looker_->begin(place, look_addresses_);
    return {};
}

const Step* Session::current_step() const {
    if (now_.booting) {
        return &boot_step_;
    }
    return now_.step < plan_.schedule.size() ? &plan_.schedule[now_.step] : nullptr;
}

Result<bool> Session::poise() {
    while (!now_.over) {
        const Step* const step = current_step();
        if (step == nullptr) {
            end(RunEnd::finished, "");
            now_.outcome.step = plan_.schedule.empty() ? 0 : plan_.schedule.size() - 1;
            return false;
        }
        now_.outcome.step = now_.step;
        if (!now_.begun) {
            STACKRIG_TRY(begin_step(*step));
            continue;
        }
        STACKRIG_TRY_ASSIGN(const bool ready, proceed(*step));
        if (ready) {
            return true;
        }
    }
    return false;
}

/// Steps that need no running are over with this.
Result<void> Session::begin_step(const Step& step) {
    now_.begun = true;
    now_.chosen = false;
    now_.reached = false;
    now_.fruitless = 0;
    now_.arrival = {};  // a place where the CPU stands already is not the one meant
    return std::visit(Cases{[this](const RunUntil& run) { return begin_run(run); },
                            [this](const RunToQuiet&) {
                                now_.tracker.prefer(std::nullopt);
                                now_.tracker.seek_nothing();
                                now_.tracker.disturb(now_.active);  // what runs shows itself once more
                                now_.places.clear();
                                return arm();
                            },
                            [this](const Inject& event) -> Result<void> {
                                STACKRIG_TRY(inject(event));
                                end_step();
                                return {};
                            },
                            [this](const AllocPolicy& policy) -> Result<void> {
                                now_.tracker.set_alloc_policy(policy);
                                end_step();
                                return {};
                            },
                            [this](const Expect& expect) -> Result<void> {
                                if (!observer_.at_expect(expect.index, last_stop())) {
                                    end(RunEnd::observer, "");
                                }
                                end_step();
                                return {};
                            }},
                      step.what);
}

Result<void> Session::begin_run(const RunUntil& run) {
    now_.tracker.prefer(run.thread);
    STACKRIG_TRY_ASSIGN(now_.places, addresses_of(run.place));
    STACKRIG_TRY(arm());
    now_.reached = now_.tracker.begin(run.place, now_.places);
    now_.tracker.disturb(focus_of(run));  // what runs shows itself once more
    return {};
}

void Session::end_step() {
    const bool look_here = options_.look_at && options_.look_at->kind == Place::Kind::step && options_.look_at->occurrence == now_.step + 1;
    if (!now_.over && !now_.booting && look_here) {
        end(RunEnd::looked, "");
    }
    if (!now_.booting && !now_.over) {
        ++now_.step;
    }
    now_.booting = false;
    now_.begun = false;
}

/// A step that runs: ends it, or finds a CPU for it. True when the guest is to be entered.
Result<bool> Session::proceed(const Step& step) {
    const auto* until = std::get_if<RunUntil>(&step.what);
    if (until != nullptr && now_.reached) {
        end_step();
        return false;
    }
    if (!now_.chosen) {
        if (now_.fruitless > hopeless_rounds * machine_->cpus()) {
            give_up();
            return false;
        }
        if (!choose_cpu(until != nullptr ? focus_of(*until) : now_.active)) {
            if (until != nullptr) {
                cannot_be_reached(*until);
            } else {
                end_step();
            }
            return false;
        }
        now_.chosen = true;
    }
    if (const auto decision = arrive()) {
        STACKRIG_TRY(take(*decision));
        return false;
    }
    return true;
}

CpuId Session::focus_of(const RunUntil& run) const {
    return run.thread ? now_.tracker.home(*run.thread) : run.cpu.value_or(now_.active);
}

/// Picks the CPU that runs next: `focus` as long as it can do anything itself; else the others, one stop each in turn. False when
/// none can.
bool Session::choose_cpu(CpuId focus) {
    const bool focus_waits = now_.tracker.relaxing(focus) && now_.active == focus;
    if (can_act(focus) && !focus_waits) {
        now_.active = focus;
        return true;
    }
    for (std::uint32_t i = 1; i <= machine_->cpus(); ++i) {
        const CpuId next{(now_.active.value() + i) % machine_->cpus()};
        if (can_act(next)) {
            now_.active = next;
            return true;
        }
    }
    return false;
}

void Session::give_up() {
    std::string who;
    for (std::uint32_t i = 0; i < machine_->cpus(); ++i) {
        if (now_.tracker.relaxing(CpuId{i})) {
            who += fmt::format("{}cpu{} at {}", who.empty() ? "" : ", ", i, guest_.describe(now_.cpus[i].rip));
        }
    }
    end(RunEnd::deadlocked, fmt::format("CPUs wait for each other and none will ever go on: {}", who));
}

void Session::cannot_be_reached(const RunUntil& run) {
    std::vector<std::string> who;
    for (std::uint32_t i = 0; i < machine_->cpus(); ++i) {
        const std::uint32_t thread = now_.tracker.current(CpuId{i});
        who.push_back(now_.tracker.is_down(CpuId{i})    ? fmt::format("cpu{} is down", i)
                      : thread < machine_->cpus() ? fmt::format("cpu{} is idle", i)
                                                  : fmt::format("{} spins in user mode on cpu{}", now_.tracker.name(thread), i));
    }
    for (ThreadIndex i = 0; i < plan_.threads.size(); ++i) {
        if (now_.tracker.is_asleep(guest_id(plan_.guest, i))) {
            who.push_back(fmt::format("{} sleeps", plan_.threads[i].name));
        } else if (now_.tracker.is_gone(guest_id(plan_.guest, i))) {
            who.push_back(fmt::format("{} has exited", plan_.threads[i].name));
        }
    }
    const bool of_brief_handlers = run.place.kind == Place::Kind::mark && run.place.mark == abi::Mark::handler_end;
    end(RunEnd::unreachable, fmt::format("\"{}\" cannot be reached any more: {}. {}", run.place.text, fmt::join(who, ", "),
                                         of_brief_handlers ? "A handler without [guest.depth] has no end of its own: wait for its handler.begin"
                                                           : "Only an event could change that"));
}

/// The addresses whose breakpoints make the place; none for places that marks make.
Result<std::vector<Gva>> Session::addresses_of(const Place& place) const {
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

/// Breakpoints for the step's place, for the place to look at, for the decisions ahead and for where events return to; none while every boundary is visited
/// anyway.
Result<void> Session::arm() {
    if (checks_every_instruction()) {
        return {};
    }
    std::vector<Gva> wanted = now_.places;
    wanted.insert(wanted.end(), look_addresses_.begin(), look_addresses_.end());
    const std::vector<Gva> decisions = decision_addresses();
    wanted.insert(wanted.end(), decisions.begin(), decisions.end());
    for (const Return& there : now_.returns) {
        wanted.push_back(there.rip);
    }
    return breakpoints_.set_only(std::move(wanted));
}

bool Session::is_place(Gva address) const { return contains(now_.places, address) || contains(look_addresses_, address); }

Result<void> Session::go() {
    if (foresight_) {
        return go_as_foreseen();
    }
    if (checks_every_instruction()) {
        return step();
    }
    if (decides_in_user_mode() && !now_.booting) {
        return step();
    }
    STACKRIG_TRY_ASSIGN(const bool held_back, irq_held_back_by_shadow());
    if (held_back) {
        return step();  // a shadow that a restore has set does not hold on every host: the interrupt would come too early
    }
    if (stepping()) {
        stop_stepping();
        STACKRIG_TRY(arm());
    }
    STACKRIG_TRY_ASSIGN(const bool taken, take_pending_irq(true));
    if (taken) {
        return {};
    }
    breakpoints_.set_arrival(now_.arrival);
    STACKRIG_TRY_ASSIGN(const machine::BreakpointStop stop, breakpoints_.run(now_.active, options_.patience));
    return on_stop(stop, stop.hit && now_.arrival.news(*stop.hit));
}

/// `stood`: nothing was executed.
Result<void> Session::on_stop(const machine::BreakpointStop& stop, bool stood) {
    now_.arrival = breakpoints_.arrival();
    now_.fresh = now_.fresh || !stood;
    if (!stop.hit) {
        return on_exit(stop.exit);
    }
    STACKRIG_TRY(refresh());
    STACKRIG_TRY_ASSIGN(const bool returned, show_return());
    if (!returned && is_place(*stop.hit)) {
        return show_as_read(PlaceStop{}, stop.hit);
    }
    return {};  // or a decision's boundary
}

/// A place where a return is shown is shown as a place by the next go() or step().
Result<bool> Session::show_return() {
    const auto there = std::find(now_.returns.rbegin(), now_.returns.rend(), Return{here().rip, here().rsp});
    if (there == now_.returns.rend()) {
        return false;
    }
    now_.returns.erase(std::next(there).base());
    now_.arrival.at = here().rip;
    STACKRIG_TRY(stepping() ? Result<void>{} : arm());
    STACKRIG_TRY(show_as_read(ReturnStop{}));
    return true;
}

Result<void> Session::step() {
    STACKRIG_TRY(nothing_on_its_way());
    const std::uint64_t stops = now_.outcome.stops;
    STACKRIG_TRY_ASSIGN(const bool taken, take_pending_irq(false));
    STACKRIG_TRY(taken ? Result<void>{} : step_over());
    const bool shown = now_.over || now_.outcome.stops != stops || !checks_every_instruction();
    return shown ? Result<void>{} : show(BoundaryStop{});
}

/// The instruction here, whatever waits to be taken.
Result<void> Session::step_over() {
    STACKRIG_TRY(refresh());
    const CpuState before = here();
    const Gva from = before.rip;
    const bool news = now_.arrival.news(from);
    now_.arrival = {};
    if (news && is_place(from)) {
        return show(PlaceStop{}, from);
    }
    auto& stepper = steppers_[now_.active.value()];
    if (!stepper) {
        STACKRIG_TRY(breakpoints_.clear());
        STACKRIG_TRY_ASSIGN(machine::Stepper made, machine::Stepper::create(*machine_, now_.active));
        stepper.emplace(std::move(made));
    }
    STACKRIG_TRY_ASSIGN(const machine::StepStop stop, stepper->step(options_.patience));
    now_.fresh = true;
    if (stop.skipped) {
        end(RunEnd::broken, fmt::format("the host ran over a boundary behind {}: it cannot step exactly", guest_.describe(stop.from)));
        return {};
    }
    if (const auto* exited = std::get_if<machine::Exited>(&stop.what)) {
        now_.arrival = std::holds_alternative<kvm::IoIn>(exited->exit) ? machine::Breakpoints::Arrival{.answered_in = from}
                                                                       : machine::Breakpoints::Arrival{.at = stop.rip};
        return on_exit(exited->exit);
    }
    if (std::holds_alternative<machine::Halted>(stop.what)) {
        now_.arrival.at = stop.rip;
        return show(HaltStop{});
    }
    STACKRIG_TRY(refresh());
    if (checks_every_instruction()) {
        now_.invalidated = invalidation(stop.instruction, before, here().cr4);
    }
    STACKRIG_TRY_ASSIGN(const bool returned, show_return());
    return !returned && is_place(here().rip) ? show_as_read(PlaceStop{}, here().rip) : Result<void>{};
}

Result<void> Session::restore(const State& state) {
    now_ = state;
    foresight_.reset();
    return stepping() ? Result<void>{} : arm();
}

bool Session::stepping() const {
    return std::any_of(steppers_.begin(), steppers_.end(), [](const auto& s) { return s.has_value(); });
}

void Session::stop_stepping() {
    for (auto& stepper : steppers_) {
        stepper.reset();
    }
}

RunOutcome Session::finish() {
    now_.outcome.trace_hash = now_.trace.value();
    bool quiet = now_.outcome.end == RunEnd::finished || now_.outcome.end == RunEnd::unreachable;
    for (std::uint32_t i = 0; i < machine_->cpus(); ++i) {
        quiet = quiet && !can_act(CpuId{i});
    }
    observer_.at_end(last_stop(), quiet                                            ? Ending::quiet
                                  : now_.outcome.end == RunEnd::deadlocked ? Ending::deadlocked
                                                                           : Ending::other);
    if (options_.at_end) {
        options_.at_end();
    }
    return now_.outcome;
}

}  // namespace stackrig::engine
