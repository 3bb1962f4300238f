// Placements: is it applicable, how does the branch end, what did it show.
#include "vmm/explore/sweep.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <numeric>

#include "guest/abi/layout.hpp"
#include "vmm/engine/events.hpp"
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

std::string function_of(const x86::Elf& guest, Gva address) {
    const std::string text = guest.describe(address);
    return text.substr(0, text.find('+'));
}

std::uint64_t msr(const machine::CpuSnapshot& cpu, std::uint32_t index) {
    const auto found = std::find_if(cpu.msrs.begin(), cpu.msrs.end(), [index](const kvm::Msr& m) { return m.index == index; });
    return found == cpu.msrs.end() ? 0 : found->value;
}

}  // namespace

Sweep::Sweep(std::unique_ptr<Trunk> trunk, engine::SweepPlan plan, SweepChecks checks)
    : trunk_(std::move(trunk)), plan_(std::move(plan)), checks_(checks) {}

Result<std::unique_ptr<Sweep>> Sweep::prepare(const Bench& bench, const scenario::Scenario& scenario, const engine::SweepPlan& plan,
                                              const SweepChecks& checks) {
    const auto start = std::chrono::steady_clock::now();
    STACKRIG_TRY_ASSIGN(auto trunk, Trunk::walk(bench, scenario));
    const Judged alone = judge_end(trunk->outcome(), trunk->watch(), scenario);
    if (alone.verdict != Verdict::pass) {
        return fail(ErrorKind::usage, fmt::format("{} without any event already ends as {}: {}. A sweep needs a run that is clean by itself",
                                                  scenario.title(), name_of(alone.verdict), alone.reason));
    }
    std::unique_ptr<Sweep> sweep(new Sweep(std::move(trunk), plan, checks));
    sweep->trunk_seconds_ = seconds_since(start);
    return sweep;
}

bool Sweep::in_window(const Boundary& boundary) const {
    if (boundary.user_mode) {
        return plan_.user_mode && plan_.functions.empty();
    }
    return plan_.functions.empty() || std::find(plan_.functions.begin(), plan_.functions.end(),
                                                function_of(trunk_->bench().guest, boundary.rip)) != plan_.functions.end();
}

bool Sweep::handles_debug(const Boundary& boundary) const {
    constexpr auto which = abi::CpuStack::db;
    const std::uint64_t top = abi::cpu_stack_top(boundary.cpu.value(), which);
    const std::uint64_t base = top - abi::cpu_stack_pages[static_cast<std::size_t>(which)] * abi::page_bytes;
    const std::uint64_t rsp = boundary.moment.machine.cpu(boundary.cpu).regs.rsp;
    return (rsp >= base && rsp < top) || function_of(trunk_->bench().guest, boundary.rip) == "asm_exc_debug";
}

std::optional<std::string> Sweep::not_applicable(const Boundary& boundary, const engine::Event& event) const {
    const machine::CpuSnapshot& cpu = boundary.moment.machine.cpu(boundary.cpu);
    if (event.kind == EventKind::machine_check && (msr(cpu, x86::msr::mcg_status) & x86::mca::mcg_mcip) != 0) {
        return "MCIP is set: a second machine check is a shutdown";
    }
    if (event.kind == EventKind::debug && handles_debug(boundary)) {
        return "#DB is being handled: kernels disarm breakpoints there, for a second one overwrites the frame of the first";
    }
    if (event.kind == EventKind::nmi && cpu.events.interrupt.shadow != 0) {
        return "in the shadow of STI or MOV SS: it is taken one boundary later";
    }
    return machine::refusal(engine::native(event).how, cpu.regs.rflags, cpu.events);
}

Result<SweepResult> Sweep::run(std::uint64_t first, std::uint64_t count) {
    const auto start = std::chrono::steady_clock::now();
    SweepResult result{.boundaries = boundaries(), .first = first, .ignored = Trunk::ignored(), .trunk_seconds = trunk_seconds_};
    const std::uint64_t end = first >= boundaries() ? first : first + std::min(count, boundaries() - first);
    for (std::uint64_t i = first; i < end; ++i) {
        STACKRIG_TRY(sweep_boundary(i, result));
        ++result.count;
    }
    result.seconds = seconds_since(start);
    return result;
}

Result<void> Sweep::sweep_boundary(std::size_t index, SweepResult& result) {
    const Boundary& boundary = trunk_->boundaries()[index];
    if (!in_window(boundary)) {
        return {};
    }
    auto& cells = result.coverage[function_of(trunk_->bench().guest, boundary.rip)];
    for (const engine::Event& event : plan_.events) {
        Cell& cell = cells[event.text];
        if (const auto why_not = not_applicable(boundary, event)) {
            ++cell.not_applicable[*why_not];
            continue;
        }
        const engine::Decision decision{engine::InjectAt{place_of(boundary, trunk_->scenario().plan, trunk_->bench().guest), event}, ""};
        STACKRIG_TRY(place(index, decision, std::nullopt, cell, result));
    }
    return plan_.allocations ? sweep_allocation(index, result) : Result<void>{};
}

/// If the next instruction asks for a page: the answer no, now; and now and for ever.
Result<void> Sweep::sweep_allocation(std::size_t index, SweepResult& result) {
    const Boundary& boundary = trunk_->boundaries()[index];
    if (index + 1 >= boundaries()) {
        return {};
    }
    const auto& before = boundary.moment.run.allocations;
    const auto& after = trunk_->boundaries()[index + 1].moment.run.allocations;
    const auto asking = std::mismatch(before.begin(), before.end(), after.begin()).first;
    if (asking == before.end()) {
        return {};
    }
    ++result.allocations;
    const auto thread = static_cast<std::uint32_t>(asking - before.begin());
    const std::uint32_t cpus = trunk_->scenario().plan.guest.cpus;
    engine::FailAllocation failure;
    if (thread >= cpus) {
        failure.thread = thread - cpus;
        failure.nth = *asking + 1;
    } else {
        failure.nth = std::accumulate(before.begin(), before.end(), 1u);
    }
    auto& cells = result.coverage[function_of(trunk_->bench().guest, boundary.rip)];
    for (const bool all_later : {false, true}) {
        failure.and_all_later = all_later;
        STACKRIG_TRY(place(index, {failure, ""}, std::nullopt, cells[all_later ? "alloc-all" : "alloc"], result));
    }
    return {};
}

/// One branch: from the boundary, with that one decision.
Result<void> Sweep::place(std::size_t index, const engine::Decision& decision, const std::optional<Second>& second, Cell& cell,
                          SweepResult& result) {
    STACKRIG_TRY(restore(trunk_->boundaries()[index]));
    if (const auto* inject = std::get_if<engine::InjectAt>(&decision.what)) {
        STACKRIG_TRY(trunk_->session().inject_here(inject->event));
    } else {
        trunk_->session().fail_allocation(std::get<engine::FailAllocation>(decision.what));
    }
    STACKRIG_TRY_ASSIGN(Showing ended, branch(second, result));
    Sweep::count(ended, cell);
    record(std::move(ended), index, decision, result);
    if (!second && checks_.repeat_every != 0 && ++branches_ % checks_.repeat_every == 0) {
        STACKRIG_TRY(repeat(decision));
    }
    return {};
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
    ++result.runs;
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

void Sweep::count(const Showing& ended, Cell& cell) {
    using How = Showing::How;
    cell.executed += ended.how == How::incomplete || ended.how == How::late ? 0 : 1;
    cell.rejoined += ended.how == How::rejoined ? 1 : 0;
    cell.off_schedule += ended.how == How::off_schedule ? 1 : 0;
    cell.incomplete += ended.how == How::incomplete ? 1 : 0;
    cell.host_skipped += ended.how == How::late ? 1 : 0;
}

void Sweep::record(Showing ended, std::size_t index, const engine::Decision& decision, SweepResult& result) {
    if (ended.how != Showing::How::failed) {
        return;
    }
    const auto known = std::find_if(result.findings.begin(), result.findings.end(),
                                    [&](const Finding& f) { return f.key() == ended.finding.key(); });
    if (known != result.findings.end()) {
        ++known->count;
        return;
    }
    ended.finding.count = 1;
    ended.finding.boundary = index;
    ended.finding.decisions = {scenario::render(decision, trunk_->names())};
    result.findings.push_back(std::move(ended.finding));
}

/// The branch just run, again from nothing: the same stops, up to where it was left.
Result<void> Sweep::repeat(const engine::Decision& decision) {
    const engine::Session::State& branch = trunk_->session().state();
    engine::RunPlan plan = trunk_->scenario().plan;
    plan.decisions.push_back(decision);
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
                                                scenario::render(decision, trunk_->names()), branch.trace.value(), branch.outcome.stops,
                                                again.trace_hash, again.stops));
    }
    return {};
}

}  // namespace stackrig::explore
