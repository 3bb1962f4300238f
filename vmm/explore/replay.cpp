// Replaying and shrinking.
#include "vmm/explore/replay.hpp"

#include <array>
#include <fmt/format.h>

#include "guest/abi/layout.hpp"
#include "vmm/engine/session.hpp"
#include "vmm/scenario/sentence.hpp"

namespace stackrig::explore {
namespace {

const char* name_of(const engine::StopCause& cause) {
    static constexpr const char* names[] = {"mark", "user mark", "choice", "landed", "boundary", "place", "halt", "ipi", "return"};
    static_assert(std::size(names) == std::variant_size_v<engine::StopCause>);
    return names[cause.index()];
}

std::string numbers_of(const engine::StopCause& cause) {
    if (const auto* mark = std::get_if<engine::MarkStop>(&cause)) {
        for (const auto& row : {
#define X(name, number, text, args) std::pair{abi::Mark::name, text},
                 STACKRIG_MARKS(X)
#undef X
             }) {
            if (row.first == mark->mark) {
                return fmt::format("{} {:#x} {:#x} {:#x}", row.second, mark->args[0], mark->args[1], mark->args[2]);
            }
        }
    }
    if (const auto* choice = std::get_if<engine::ChoiceStop>(&cause)) {
        return fmt::format("{} {:#x} {:#x} -> {}", static_cast<unsigned>(choice->choice), choice->args[0], choice->args[1], choice->answer);
    }
    if (const auto* landed = std::get_if<engine::LandedStop>(&cause)) {
        return abi::entry_class(landed->entry).name;
    }
    return "";
}

/// All that the trace hash sees, RSP aside: two lines that are equal are the same stop.
std::string registers_of(const engine::CpuState& cpu) {
    constexpr std::array<std::string_view, 16> names{"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        text += names[i].empty() ? "" : fmt::format(" {}={:#x}", names[i], cpu.gpr[i]);
    }
    return text + fmt::format(" cs={:#x} cr3={:#x}", cpu.cs, cpu.cr3.value());
}

/// Passes every stop on, and writes it down.
class Recorder final : public engine::Observer {
  public:
    Recorder(Watch& watch, const x86::Elf& guest, Tracing tracing, std::vector<std::string>& lines)
        : watch_(watch), guest_(guest), tracing_(tracing), lines_(lines) {}
    bool at_stop(const engine::Stop& stop) override {
        if (tracing_ != Tracing::none) {
            const engine::CpuState& cpu = stop.cpus[stop.cpu.value()];
            const std::string ticks = tracing_ == Tracing::stops_and_ticks ? fmt::format(" tsc={}", __builtin_ia32_rdtsc()) : "";
            lines_.push_back(fmt::format("{:>6} {} {:<9} {:<28} {} rsp={:#x} rflags={:#x}{}{}", stop.index, stop.cpu, name_of(stop.cause),
                                          numbers_of(stop.cause), guest_.describe(cpu.rip), cpu.rsp.value(), cpu.rflags, registers_of(cpu), ticks));
        }
        return watch_.at_stop(stop);
    }
    bool at_expect(std::size_t predicate, const engine::Stop& stop) override { return watch_.at_expect(predicate, stop); }
    void at_end(const engine::Stop& stop, engine::Ending ending) override { watch_.at_end(stop, ending); }

  private:
    Watch& watch_;
    const x86::Elf& guest_;
    Tracing tracing_;
    std::vector<std::string>& lines_;
};

}  // namespace

Result<Replayed> replay(const Bench& bench, const scenario::Scenario& scenario, Tracing tracing) {
    const GuestSymbols symbols(bench.guest);
    const scenario::Names names = scenario::names_of(scenario, symbols);
    STACKRIG_TRY_ASSIGN(const Gpa state, kernel_state(bench.guest));
    Watch watch(scenario, names, state, [&](Gva address) { return bench.guest.describe(address); });
    Replayed replayed;
    Recorder recorder(watch, bench.guest, tracing, replayed.trace);
    STACKRIG_TRY_ASSIGN(const auto session, engine::Session::create(bench.system, bench.guest, scenario.plan, recorder, {}));
    for (;;) {
        STACKRIG_TRY_ASSIGN(const bool ready, session->poise());
        if (!ready) {
            break;
        }
        STACKRIG_TRY(session->go());
    }
    const engine::RunOutcome outcome = session->finish();
    replayed.shown = what_it_shows(outcome, watch);
    replayed.stops = outcome.stops;
    replayed.trace_hash = outcome.trace_hash;
    for (std::size_t i = 0; i < scenario.plan.decisions.size(); ++i) {
        if (!session->state().taken[i]) {
            replayed.not_reached.push_back(scenario::render(scenario.plan.decisions[i], names));
        }
    }
    return replayed;
}

Result<Shrunk> shrink(const Bench& bench, const scenario::Scenario& scenario) {
    Shrunk shrunk;
    STACKRIG_TRY_ASSIGN(const Replayed all, replay(bench, scenario));
    ++shrunk.runs;
    if (all.shown.how != Showing::How::failed) {
        return fail(ErrorKind::usage, fmt::format("{} with its {} decisions shows no failure: there is nothing to shrink", scenario.title(),
                                                  scenario.plan.decisions.size()));
    }
    scenario::Scenario candidate = scenario;
    const auto fails = [&](const std::vector<std::size_t>& kept) -> Result<bool> {
        candidate.plan.decisions.clear();
        for (const std::size_t i : kept) {
            candidate.plan.decisions.push_back(scenario.plan.decisions[i]);
        }
        STACKRIG_TRY_ASSIGN(const Replayed once, replay(bench, candidate));
        ++shrunk.runs;
        // A decision that was not reached leaves the candidate undecided: it is no witness.
        const bool same = once.shown.how == Showing::How::failed && once.not_reached.empty() && once.shown.finding.key() == all.shown.finding.key();
        if (same) {
            shrunk.shown = once;
            shrunk.decisions = candidate.plan.decisions;
        }
        return same;
    };
    shrunk.decisions = scenario.plan.decisions;
    shrunk.shown = all;
    STACKRIG_TRY(minimal_subset(scenario.plan.decisions.size(), fails));
    return shrunk;
}

}  // namespace stackrig::explore
