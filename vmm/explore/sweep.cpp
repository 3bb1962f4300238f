// Placements: is it applicable, how does the branch end, what did it show.
#include "vmm/explore/sweep.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <numeric>

#include "vmm/engine/events.hpp"
#include "vmm/explore/shuffle.hpp"
#include "vmm/explore/verdict.hpp"
#include "vmm/machine/deliver.hpp"
#include "vmm/scenario/sentence.hpp"
#include "vmm/x86/descriptors.hpp"

namespace stackrig::explore {
namespace {

using engine::EventKind;

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::uint64_t msr(const machine::CpuSnapshot& cpu, std::uint32_t index) {
    const auto found = std::find_if(cpu.msrs.begin(), cpu.msrs.end(), [index](const kvm::Msr& m) { return m.index == index; });
    return found == cpu.msrs.end() ? 0 : found->value;
}

/// Of the map: what was put first, and whether something else behind it.
std::string row_of(const std::string& first, std::size_t placements) { return placements == 1 ? first : first + ", then any"; }

Fate fate_of(Showing::How how) {
    switch (how) {
        case Showing::How::clean: return Fate::executed;
        case Showing::How::rejoined: return Fate::rejoined;
        case Showing::How::failed: return Fate::failed;
        case Showing::How::off_schedule: return Fate::off_schedule;
        case Showing::How::incomplete: return Fate::incomplete;
        case Showing::How::late: return Fate::host_skipped;
    }
    return Fate::outside;
}

}  // namespace

Sweep::Sweep(std::unique_ptr<Trunk> trunk, engine::SweepPlan plan, SweepChecks checks)
    : trunk_(std::move(trunk)), plan_(std::move(plan)), checks_(checks), visits_(trunk_->scenario().plan.guest.cpus) {}

Result<std::unique_ptr<Sweep>> Sweep::prepare(const Bench& bench, const scenario::Scenario& scenario, const engine::SweepPlan& plan,
                                              const SweepChecks& checks) {
    const auto start = std::chrono::steady_clock::now();
    STACKRIG_TRY_ASSIGN(auto trunk, Trunk::walk(bench, scenario));
    const Judged alone = judge_end(trunk->outcome(), trunk->watch(), scenario);
    if (alone.verdict != Verdict::pass) {
        return fail(ErrorKind::usage, fmt::format("{} without any event already ends as {}: {}. A sweep needs a run that is clean by itself{}",
                                                  scenario.title(), name_of(alone.verdict), alone.reason,
                                                  scenario.expect.pass() ? "" : "; where the file has a variant that is to pass, --variant NAME sweeps that one"));
    }
    std::unique_ptr<Sweep> sweep(new Sweep(std::move(trunk), plan, checks));
    sweep->prepare_pairs();
    sweep->trunk_seconds_ = seconds_since(start);
    return sweep;
}

bool Sweep::in_window(const Boundary& boundary) const {
    if (boundary.user_mode && !plan_.user_mode) {
        return false;
    }
    return plan_.functions.empty() || std::find(plan_.functions.begin(), plan_.functions.end(), boundary.function) != plan_.functions.end();
}

/// From the first instruction of `handler` to its IRET, on an IST stack of its own.
bool Sweep::handles(const Standing& at, abi::CpuStack stack, const std::string& handler) {
    const std::uint64_t top = abi::cpu_stack_top(at.cpu.value(), stack);
    const std::uint64_t base = top - abi::cpu_stack_pages[static_cast<std::size_t>(stack)] * abi::page_bytes;
    const std::uint64_t rsp = at.state.regs.rsp;
    return (rsp >= base && rsp < top) || at.function == handler;
}

std::optional<std::string> Sweep::not_applicable(const Standing& at, const engine::Event& event) const {
    const machine::CpuSnapshot& cpu = at.state;
    const Gva rip(cpu.regs.rip);
    if (event.kind == EventKind::machine_check && (msr(cpu, x86::msr::mcg_status) & x86::mca::mcg_mcip) != 0) {
        return "MCIP is set: a second machine check is a shutdown";
    }
    if (event.kind == EventKind::machine_check && handles(at, abi::CpuStack::mc, "asm_exc_machine_check")) {
        return "#MC is being handled: between the clearing of MCIP and the IRET no kernel survives another, which overwrites the frame of the first";
    }
    if (event.kind == EventKind::debug && handles(at, abi::CpuStack::db, "asm_exc_debug")) {
        return "#DB is being handled: kernels disarm breakpoints there, for a second one overwrites the frame of the first";
    }
    if (event.kind == EventKind::int3 && !at.user_mode() && cpu.regs.rsp < abi::direct_map_base) {
        return "RSP is the user's still, or again: INT3 has no stack of its own, and no kernel puts one into such code (noinstr)";
    }
    if (event.kind == EventKind::int3 && rip == trunk_->bench().guest.find("native_irq_return_iret") && cpu.sregs.gs.base < abi::direct_map_base) {
        return "the IRET to user mode: error_entry takes an exception there for one that IRET raised, so no kernel puts an INT3 on it (noinstr)";
    }
    if (event.kind == EventKind::int3 && rip == trunk_->bench().guest.find("asm_exc_int3")) {
        return std::string(machine::int3_in_its_handler);
    }
    if (event.kind == EventKind::nmi && cpu.events.nmi.masked == 0 && handles(at, abi::CpuStack::nmi, "asm_exc_nmi")) {
        return "an NMI is being handled, and the IRET of another event has unmasked NMIs: Linux's entry code copes with a second one, the guest's does not";
    }
    if (event.kind == EventKind::nmi && cpu.events.interrupt.shadow != 0) {
        return "in the shadow of STI or MOV SS: it is taken one boundary later";
    }
    return machine::refusal(engine::native(event).how, cpu.regs.rflags, cpu.events);
}

Result<SweepResult> Sweep::run(std::uint64_t first, std::uint64_t count) {
    const auto start = std::chrono::steady_clock::now();
    SweepResult result{.boundaries = boundaries(), .first = first, .map = SweepMap(first), .trunk_seconds = trunk_seconds_};
    const std::uint64_t end = first >= boundaries() ? first : first + std::min(count, boundaries() - first);
    for (std::uint64_t i = first; i < end; ++i) {
        STACKRIG_TRY(sweep_boundary(i, result));
        ++result.count;
    }
    const auto never_true = trunk_->watch().never_true();
    result.all_met = !never_true;
    result.unmet = never_true.value_or("");
    result.seconds = seconds_since(start);
    return result;
}

std::map<std::string, Cell>& Sweep::cells_at(const Boundary& boundary, SweepResult& result) const {
    return result.coverage[boundary.function];
}

Result<void> Sweep::sweep_boundary(std::size_t index, SweepResult& result) {
    const Boundary& boundary = trunk_->boundaries()[index];
    if (!in_window(boundary)) {
        result.map.enter("");
        return {};
    }
    result.map.enter(scenario::render(place_of(boundary, trunk_->scenario().plan), trunk_->names()));
    for (const engine::Event& event : plan_.events) {
        result.map.note(index, event.text, Fate::not_applicable);  // until it is placed
    }
    const Boundary* const next = index + 1 < boundaries() ? &trunk_->boundaries()[index + 1] : nullptr;
    result.allocations += plan_.allocations && asked_here(boundary, next) ? 1 : 0;
    for (const Placement& placement : placements(boundary, next, "", result)) {
        Cell& cell = cells_at(boundary, result)[placement.word];
        STACKRIG_TRY_ASSIGN(const Showing::How how, place(index, std::span(&placement, 1), std::nullopt, cell, result));
        if (plan_.pairs != engine::Pairs::none) {
            STACKRIG_TRY(seconds(index, placement, how, result));
        }
    }
    return {};
}

/// All that can be put at `here`; what cannot is counted with its reason. `after`: the words for what has been put before.
std::vector<Sweep::Placement> Sweep::placements(const Boundary& here, const Boundary* next, const std::string& after, SweepResult& result) const {
    std::vector<Placement> all;
    for (const engine::Event& event : plan_.events) {
        if (const auto why_not = not_applicable(standing_at(here), event)) {
            ++cells_at(here, result)[after + event.text].not_applicable[*why_not];
            continue;
        }
        all.push_back({&here, &event, after + event.text});
    }
    auto failure = plan_.allocations ? asked_here(here, next) : std::nullopt;
    if (plan_.allocations && !failure) {
        ++cells_at(here, result)[after + "alloc"].not_applicable["no page is asked for here"];
    }
    if (failure) {
        all.push_back({&here, *failure, after + "alloc"});
        failure->and_all_later = true;
        all.push_back({&here, *failure, after + "alloc-all"});
    }
    return all;
}

/// If the instruction at `here` asks for a page: the answer no.
std::optional<engine::FailAllocation> Sweep::asked_here(const Boundary& here, const Boundary* next) const {
    if (next == nullptr) {
        return std::nullopt;
    }
    const auto& before = here.moment.run.allocations;
    const auto& after = next->moment.run.allocations;
    const auto asking = std::mismatch(before.begin(), before.end(), after.begin()).first;
    if (asking == before.end()) {
        return std::nullopt;
    }
    const auto thread = static_cast<std::uint32_t>(asking - before.begin());
    const std::uint32_t cpus = trunk_->scenario().plan.guest.cpus;
    engine::FailAllocation failure;
    if (thread >= cpus) {
        failure.thread = thread - cpus;
        failure.nth = *asking + 1;
    } else {
        failure.nth = std::accumulate(before.begin(), before.end(), 1u);
    }
    return failure;
}

/// As a scenario would say it.
engine::Decision Sweep::decision_for(const Placement& placement) const {
    if (const auto* failure = std::get_if<engine::FailAllocation>(&placement.what)) {
        return {*failure, ""};
    }
    return {engine::InjectAt{place_of(*placement.at, trunk_->scenario().plan), *std::get<const engine::Event*>(placement.what)}, ""};
}

Result<void> Sweep::apply(const Placement& placement) {
    if (const auto* failure = std::get_if<engine::FailAllocation>(&placement.what)) {
        trunk_->session().fail_allocation(*failure);
        return {};
    }
    return trunk_->session().inject_here(*std::get<const engine::Event*>(placement.what));
}

/// The branch of one placement, from its boundary on. An event's landing is foreseen where that can be; what a branch shows that did not
/// prove it is thrown away.
Result<Showing> Sweep::follow(const Placement& placement, const std::optional<Second>& second, SweepResult& result) {
    STACKRIG_TRY(restore(*placement.at));
    const auto* event = std::get_if<const engine::Event*>(&placement.what);
    bool foreseen = false;
    if (event != nullptr && !second) {
        STACKRIG_TRY_ASSIGN(foreseen, trunk_->session().inject_foreseen(**event));
    }
    if (foreseen) {
        const std::uint64_t stops = result.stops;
        STACKRIG_TRY_ASSIGN(Showing ended, branch(std::nullopt, result));
        if (!trunk_->session().unproved()) {
            ++result.foreseen;
            return ended;
        }
        ++result.unproved;
        result.stops = stops;
        STACKRIG_TRY(trunk_->snapshots().flush_translations());  // the oracle's model has not seen all that was executed
        STACKRIG_TRY(restore(*placement.at));
    }
    STACKRIG_TRY(apply(placement));
    return branch(second, result);
}

Result<Showing::How> Sweep::place(std::size_t index, std::span<const Placement> placements, const std::optional<Second>& second, Cell& cell,
                                  SweepResult& result) {
    auto ended = follow(placements.back(), second, result);
    ++result.runs;
    if (!ended) {
        return fail(ended.error().kind, fmt::format("\"{}\"{}: {}", scenario::render(decision_for(placements.back()), trunk_->names()),
                                                    second ? fmt::format(", then {} {} stops later", second->event.text, second->stops_before) : "",
                                                    ended.error().text));
    }
    const Showing::How how = ended->how;
    Sweep::count(how, cell);
    result.map.note(index, row_of(placements.front().word, placements.size()), fate_of(how));
    if (how == Showing::How::failed) {
        ended->finding->text += second ? events_behind(placements.back()) : "";
        record(std::move(*ended->finding), index, placements, result);
    }
    // Shuffled, so that no kind of event is left out whose turn always comes after the same number of others.
    if (!second && checks_.repeat_every != 0 && shuffled(++branches_) % checks_.repeat_every == 0) {
        STACKRIG_TRY(repeat(placements));
    }
    return how;
}

Result<void> Sweep::restore(const Boundary& boundary) {
    STACKRIG_TRY(trunk_->restore(boundary.moment));
    if (!checks_.verify_restores) {
        return {};
    }
    STACKRIG_TRY_ASSIGN(const std::string wrong, trunk_->snapshots().verify(boundary.moment.machine));
    if (!wrong.empty()) {
        return fail(ErrorKind::rig, fmt::format("the boundary at {} was not restored exactly: {}", trunk_->bench().guest.describe(boundary.rip), wrong));
    }
    return {};
}

/// Where the event has been delivered: to the end, or until the trunk is rejoined.
Result<Showing> Sweep::branch(std::optional<Second> second, SweepResult& result) {
    engine::Session& session = trunk_->session();
    const std::uint64_t before = session.state().outcome.stops;
    std::uint64_t compared = before;
    const auto landed_late = [&session] {
        const auto& events = session.state().outcome.events;
        return !events.empty() && !events.back().exact;
    };
    if (landed_late()) {
        return Showing{.how = Showing::How::late};
    }
    for (;;) {
        STACKRIG_TRY_ASSIGN(const bool ready, session.poise());
        if (!ready) {
            break;
        }
        if (session.state().outcome.stops != compared) {
            compared = session.state().outcome.stops;
            if (second) {
                STACKRIG_TRY_ASSIGN(const bool done, placed(*second));
                if (done) {
                    second.reset();
                    continue;  // the run may stand elsewhere now
                }
            } else {
                STACKRIG_TRY_ASSIGN(const auto at, trunk_->rejoined());
                if (at) {
                    result.stops += compared - before;
                    return Showing{.how = Showing::How::rejoined};
                }
            }
        }
        STACKRIG_TRY(session.go());
    }
    result.stops += session.state().outcome.stops - before;
    const engine::RunOutcome outcome = session.finish();
    return what_it_shows(outcome, trunk_->watch());
}

void Sweep::count(Showing::How how, Cell& cell) {
    using How = Showing::How;
    cell.executed += how == How::incomplete || how == How::late ? 0 : 1;
    cell.rejoined += how == How::rejoined ? 1 : 0;
    cell.off_schedule += how == How::off_schedule ? 1 : 0;
    cell.incomplete += how == How::incomplete ? 1 : 0;
    cell.host_skipped += how == How::late ? 1 : 0;
}

void Sweep::record(Finding shown, std::size_t index, std::span<const Placement> placements, SweepResult& result) {
    const auto known = std::find_if(result.findings.begin(), result.findings.end(), [&](const Finding& f) { return f.key() == shown.key(); });
    Finding& finding = known == result.findings.end() ? shown : *known;
    std::vector<std::uint64_t>& seen_at = finding.seen_at[row_of(placements.front().word, placements.size())];
    if (seen_at.empty() || seen_at.back() != index) {
        seen_at.push_back(index);
    }
    ++finding.count;
    if (known != result.findings.end()) {
        return;
    }
    shown.boundary = index;
    for (const Placement& placement : placements) {
        shown.decisions.push_back(scenario::render(decision_for(placement), trunk_->names()));
    }
    result.findings.push_back(std::move(shown));
}

/// Of the branch just run, where no decision says what came behind the first event.
std::string Sweep::events_behind(const Placement& first) {
    const auto& events = trunk_->session().state().outcome.events;
    std::string all;
    for (std::size_t i = first.at->moment.run.outcome.events.size() + 1; i < events.size(); ++i) {
        all += fmt::format("{}{} at {}", all.empty() ? " Behind the first event came " : ", ", events[i].event,
                           trunk_->bench().guest.describe(events[i].boundary));
    }
    return all.empty() ? all : all + ".";
}

/// The branch just run, again from nothing: the same stops, up to where it was left.
Result<void> Sweep::repeat(std::span<const Placement> placements) {
    const engine::Session::State& branch = trunk_->session().state();
    engine::RunPlan plan = trunk_->scenario().plan;
    std::transform(placements.begin(), placements.end(), std::back_inserter(plan.decisions), [this](const Placement& p) { return decision_for(p); });
    struct UpTo final : engine::Observer {
        explicit UpTo(std::uint64_t last_in) : last(last_in) {}
        bool at_stop(const engine::Stop& stop) override { return stop.index < last; }
        bool at_expect(std::size_t, const engine::Stop&) override { return true; }
        void at_end(const engine::Stop&, engine::Ending) override {}
        std::uint64_t last;
    } observer(branch.outcome.stops);
    STACKRIG_TRY_ASSIGN(const engine::RunOutcome again, engine::run(trunk_->bench().system, trunk_->bench().guest, plan, observer, {}));
    if (again.stops != branch.outcome.stops || again.trace_hash != branch.trace.value()) {
        return fail(ErrorKind::rig, fmt::format("\"{}\", run from a snapshot, gave trace {:016x} after {} stops; run from boot in a fresh VM, {:016x} "
                                                "after {}: the rig is not deterministic",
                                                scenario::render(plan.decisions.back(), trunk_->names()), branch.trace.value(), branch.outcome.stops,
                                                again.trace_hash, again.stops));
    }
    return {};
}

}  // namespace stackrig::explore
