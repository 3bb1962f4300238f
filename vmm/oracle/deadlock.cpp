// Waiting in a circle: threads for pages and wake-ups (LIVE-8), CPUs for each other (I14).
#include <fmt/format.h>
#include <algorithm>

#include "vmm/oracle/families.hpp"
#include "vmm/oracle/progress.hpp"
#include "vmm/oracle/quotes.hpp"

namespace stackrig::oracle::deadlock {
namespace {

constexpr std::string_view file = "vmm/oracle/deadlock.cpp";
constexpr unsigned everywhere = under_fixed | under_entry_exit;

constexpr Invariant all[] = {
    {Inv::live8, "LIVE-8", "waiting for pages does not close a circle", quotes::sleep, quotes::mail,
     "No thread waits for stack pages that are held by threads which wait, directly or through others, for "
     "that very thread. "
     "Where nobody of the scenario could wake a sleeper, the outside world may, and it counts as able to go "
     "on.",
     "When nothing more can happen without an event: who holds which pages, who owns which mutex, and whose "
     "program still "
     "contains which wake-up.",
     file, Basis::claim, under_entry_exit},
    {Inv::i14, "I14", "no CPU waits for ever", "", "",
     "CPUs do not spin for locks or answers that only each other can give.",
     "When all CPUs spin and none of them can go on.", file, Basis::rig, everywhere},
};

std::string needs_text(const Scene& s, const Stuck& stuck) {
    const abi::Thread& t = s.view.thread(stuck.thread);
    const std::uint32_t held = frames_held(s, stuck.thread);
    const std::string who = held == 0 ? std::string(s.name(stuck.thread))
                                      : fmt::format("{} holds {} frames and", s.name(stuck.thread), held);
    const std::string others = names_text(s.view, stuck.needs);
    switch (t.wait_kind) {
        case abi::WaitKind::event:
            return fmt::format("{} waits for event {}, which only {} can wake", who, t.wait_object, others);
        case abi::WaitKind::mutex:
            return fmt::format("{} waits for mutex {}, which {} owns", who, t.wait_object, others);
        case abi::WaitKind::frame:
            return fmt::format("{} waits for a free page, and only {} can free one", who, others);
        default:
            return fmt::format("{} waits for stack pages, which {} {}", who, others,
                               stuck.needs.size() == 1 ? "has" : "have");
    }
}

bool for_frames(const Scene& s, ThreadId t) {
    const abi::WaitKind kind = s.view.thread(t).wait_kind;
    return kind == abi::WaitKind::pages || kind == abi::WaitKind::frame;
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check_quiet(const Scene& s) {
    const std::vector<Stuck> stuck = stuck_threads(s);
    if (stuck.empty() || !s.judge.examine(Inv::live8)) {
        return;
    }
    std::vector<ThreadId> cycle = cycle_of(stuck);
    if (std::none_of(cycle.begin(), cycle.end(), [&](ThreadId t) { return for_frames(s, t); })) {
        return;  // mutexes alone: a program's fault, not the scheme's
    }
    // The holder that sleeps is the better beginning of the story.
    const auto first =
        std::find_if(cycle.begin(), cycle.end(), [&](ThreadId t) { return !for_frames(s, t); });
    std::rotate(cycle.begin(), first == cycle.end() ? cycle.begin() : first, cycle.end());
    std::string text;
    for (const ThreadId t : cycle) {
        const auto at =
            std::find_if(stuck.begin(), stuck.end(), [t](const Stuck& x) { return x.thread == t; });
        text += fmt::format("{}{}", text.empty() ? "" : "; ", needs_text(s, *at));
    }
    s.judge.report(Inv::live8, cycle, "circle of waiters", "Deadlock: " + text + ".");
}

void check_spinning(const Scene& s) {
    s.judge.examine(Inv::i14);
    std::string text;
    std::vector<ThreadId> threads;
    for (const CpuView& cpu : s.view.cpus) {
        const CpuHistory& h = s.history.cpu(cpu.regs.cpu);
        if (!h.spinning) {
            continue;
        }
        const std::string what = h.spin == abi::Spin::lock ? fmt::format("lock {:#x}", h.spin_object)
                                 : h.spin == abi::Spin::flush
                                     ? fmt::format("cpu{} to flush", h.spin_object)
                                     : fmt::format("cpu{} to change state", h.spin_object);
        text += fmt::format("{}{} ({}{}) spins for {}", text.empty() ? "" : "; ", cpu.regs.cpu,
                            cpu.running ? s.name(*cpu.running) : "nobody",
                            cpu.regs.irqs_on() ? "" : ", IRQs off", what);
        if (cpu.running) {
            threads.push_back(*cpu.running);
        }
    }
    s.judge.report(Inv::i14, std::move(threads), "CPUs", text + ": none of them can go on.");
}

}  // namespace stackrig::oracle::deadlock
