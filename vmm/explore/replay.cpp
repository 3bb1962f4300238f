// Replaying and shrinking.
#include "vmm/explore/replay.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <span>
#include <tuple>

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

std::string argument_of(std::string_view name, std::uint64_t value, const oracle::View& view) {
    const auto small = static_cast<std::uint32_t>(value);
    if (name.ends_with("thread") || name == "child" || name == "parent") {
        return std::string(oracle::name_of(view, oracle::ThreadId(small)));
    }
    if (name == "entry" && value < abi::entry_count) {
        return abi::entry_class(static_cast<abi::Entry>(small)).name;
    }
    return value < 10 ? fmt::format("{}", value) : fmt::format("{:#x}", value);
}

/// "thread A, page index 2, pfn 0x812": a mark's arguments by the names in its table, "thread, page index, pfn: what it says".
std::string arguments_of(std::string_view names, std::span<const std::uint64_t> values, const oracle::View& view) {
    std::string text;
    for (const std::uint64_t value : values) {
        const std::size_t end = std::min(names.find_first_of(",:"), names.size());
        const std::string_view name = names.substr(0, end);
        if (name != "-") {
            text += fmt::format("{}{} {}", text.empty() ? " " : ", ", name, argument_of(name, value, view));
        }
        names.remove_prefix(std::min(end + 2, names.size()));
    }
    return text;
}

std::string details_of(const engine::StopCause& cause, const oracle::View& view) {
    if (const auto* mark = std::get_if<engine::MarkStop>(&cause)) {
        for (const auto& [known, text, names] : {
#define X(name, number, text, args) std::tuple{abi::Mark::name, text, args},
                 STACKRIG_MARKS(X)
#undef X
             }) {
            if (known == mark->mark) {
                return text + arguments_of(names, mark->args, view);
            }
        }
    }
    if (const auto* choice = std::get_if<engine::ChoiceStop>(&cause)) {
        const auto& [text, names] = [choice]() -> std::pair<std::string, std::string_view> {
            switch (choice->choice) {
                case abi::Choice::alloc: return {"alloc", "gfp, thread"};
                case abi::Choice::next: return {"next", "thread, cpu"};
                case abi::Choice::resched: return {"resched", "cpu, thread"};
            }
            return {"?", "-, -"};
        }();
        return fmt::format("{}{} -> {}", text, arguments_of(names, choice->args, view), choice->answer);
    }
    if (const auto* landed = std::get_if<engine::LandedStop>(&cause)) {
        return abi::entry_class(landed->entry).name;
    }
    return "";
}

/// All that the trace hash sees: two lines that are equal are the same stop.
std::string registers_of(const engine::CpuState& cpu) {
    constexpr std::array<std::string_view, 16> names{"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
    std::string text = fmt::format("rflags={:#x} cs={:#x} cr3={:#x} gs={:#x} nmi_masked={:d}", cpu.rflags, cpu.cs, cpu.cr3.value(), cpu.gs_base.value(),
                                   cpu.nmi_masked);
    for (std::size_t i = 0; i < names.size(); ++i) {
        text += fmt::format(" {}={:#x}", names[i], cpu.gpr[i]);
    }
    return text;
}

/// Passes every stop on, and writes it down.
class Recorder final : public engine::Observer {
  public:
    Recorder(Watch& watch, const x86::Elf& guest, Tracing tracing, std::vector<TraceLine>& lines)
        : watch_(watch), guest_(guest), tracing_(tracing), lines_(lines) {}
    bool at_stop(const engine::Stop& stop) override {
        const bool go_on = watch_.at_stop(stop);
        if (tracing_ != Tracing::none) {
            lines_.push_back(line_of(stop));
        }
        return go_on;
    }
    bool at_expect(std::size_t predicate, const engine::Stop& stop) override { return watch_.at_expect(predicate, stop); }
    void at_end(const engine::Stop& stop, engine::Ending ending) override { watch_.at_end(stop, ending); }

  private:
    [[nodiscard]] TraceLine line_of(const engine::Stop& stop) const {
        const engine::CpuState& cpu = stop.cpus[stop.cpu.value()];
        const oracle::View& view = watch_.oracle().view();
        const auto running = view.cpus.empty() ? std::nullopt : view.cpu(stop.cpu).running;
        const std::string_view thread = running ? oracle::name_of(view, *running) : "-";
        const std::string ticks = tracing_ == Tracing::stops_and_ticks ? fmt::format(" tsc={}", __builtin_ia32_rdtsc()) : "";
        return {fmt::format("{:>6} {} {:<6} {:<8} {:<40} {}{}", stop.index, stop.cpu, thread, name_of(stop.cause), details_of(stop.cause, view),
                            guest_.describe(cpu.rip), ticks),
                registers_of(cpu)};
    }

  private:
    Watch& watch_;
    const x86::Elf& guest_;
    Tracing tracing_;
    std::vector<TraceLine>& lines_;
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
        return fail(ErrorKind::usage, fmt::format("{} with its decision{} shows no failure: there is nothing to shrink", scenario.title(),
                                                  scenario.plan.decisions.size() == 1 ? "" : "s"));
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
        const bool same = once.shown.how == Showing::How::failed && once.not_reached.empty() && once.shown.key() == all.shown.key();
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
