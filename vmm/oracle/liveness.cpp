// Nobody waits in vain: lost wake-ups, starvation, stranded pages, unbounded hooks, pending work that is
// forgotten.
#include <fmt/format.h>

#include "vmm/oracle/families.hpp"

namespace stackrig::oracle::liveness {
namespace {

constexpr std::string_view file = "vmm/oracle/liveness.cpp";
constexpr unsigned everywhere = under_fixed | under_entry_exit;

/// A waiter may be woken in vain, or overtaken, less often than this.
constexpr std::uint32_t patience = 3;
/// Instructions of an ENTER that cannot wait, clearing pages included (REP STOSQ counts each of its 3 * 512
/// rounds).
constexpr std::uint32_t enter_bound = 4096;

constexpr Invariant all[] = {
    {Inv::live1, "LIVE-1", "no lost wake-up", "", "",
     "No thread sleeps for pages while enough of them lie where it would look: in the cache of its CPU and "
     "on the free list, "
     "or handed to it. The free list does not count while the scenario has the allocator fail.",
     "When nothing more can happen without an event, every thread asleep for pages.", file, Basis::derived,
     everywhere},
    {Inv::live2, "LIVE-2", "a waiter is served in its turn", "", "",
     "In one wait for pages a thread is woken in vain, or overtaken by a thread that began to wait later, "
     "fewer than 3 times. Where pages are handed to waiters in turn, ENTER takes none past a thread that sleeps for "
     "them.",
     "At sleep and wait.done, counts of the wait going on; at enter.take, who slept for pages when that ENTER began and "
     "still does.", file, Basis::derived, under_entry_exit},
    {Inv::live3, "LIVE-3", "pages of other CPUs do not stay out of reach", "", "",
     "No thread sleeps for pages while the caches of other CPUs hold what it lacks: exits on one CPU must "
     "not pump the pages "
     "away from another.",
     "When nothing more can happen without an event, every thread asleep for pages against all caches.", file,
     Basis::derived, under_entry_exit},
    {Inv::live4, "LIVE-4", "an ENTER that cannot wait is short", "", "",
     "ENTER of an entry that may not wait takes at most 4096 instructions and spins for no other CPU. A lock "
     "that is held with "
     "IRQs off is released soon: a note.",
     "At each instruction inside ENTER when every one is checked; at relax.", file, Basis::note,
     under_entry_exit},
    {Inv::live5, "LIVE-5", "a killed waiter dies", "", "",
     "A thread with SIGKILL pending does not go on waiting for pages: its death would bring some.",
     "When nothing more can happen without an event, every thread asleep for pages.", file, Basis::derived,
     everywhere},
    {Inv::live6, "LIVE-6", "a pending reschedule is not lost", "", "",
     "No thread is in user mode with need_resched set. (That EXIT comes to its end is I14's affair.)",
     "At each stop with a CPU at CPL 3, Thread::work of the thread there.", file, Basis::rig, everywhere},
    {Inv::live7, "LIVE-7", "a CPU comes up with its reserve, or not at all", "", "",
     "A CPU that takes threads has the configured number of pages in its reserve from its first moment; one "
     "that goes down, or "
     "fails to come up, keeps no pages.",
     "At cpu.online, cpu.offline and cpu.up_failed, the stashes of that CPU.", file, Basis::derived,
     under_entry_exit},
};

std::uint64_t free_pages(const Scene& s) { return s.history.alloc_denied() ? 0 : s.view.free_list.size(); }

std::uint64_t cache_of(const Scene& s, std::uint32_t cpu) {
    return cpu < s.view.cpus.size() ? s.view.cpus[cpu].belief.cache.count : 0;
}

std::uint64_t all_caches(const Scene& s) {
    std::uint64_t sum = 0;
    for (const CpuView& cpu : s.view.cpus) {
        sum += cpu.online ? cpu.belief.cache.count : 0;
    }
    return sum;
}

void check_pages_waiter(const Scene& s, ThreadId t) {
    const abi::Thread& thread = s.view.thread(t);
    const std::uint64_t near = cache_of(s, thread.cpu) + free_pages(s) + thread.granted;
    const std::uint64_t anywhere = all_caches(s) + free_pages(s) + thread.granted;
    if (s.judge.examine(Inv::live1) && near >= abi::extra_pages) {
        s.judge.report(Inv::live1, {t}, fmt::format("wait of {}", s.name(t)),
                       fmt::format("{} sleeps for {} pages, and nothing will wake it; {} are in the cache of "
                                   "cpu{}, {} on the free "
                                   "list, {} handed to it.",
                                   s.name(t), abi::extra_pages, cache_of(s, thread.cpu), thread.cpu,
                                   free_pages(s), thread.granted));
    } else if (s.judge.examine(Inv::live3) && anywhere >= abi::extra_pages) {
        s.judge.report(
            Inv::live3, {t}, fmt::format("wait of {}", s.name(t)),
            fmt::format(
                "{} sleeps for {} pages on cpu{}, which has {} within reach; the caches of all CPUs hold {}.",
                s.name(t), abi::extra_pages, thread.cpu, near, all_caches(s)));
    }
    if (s.judge.examine(Inv::live5) && thread.signal == abi::sigkill) {
        s.judge.report(
            Inv::live5, {t}, fmt::format("death of {}", s.name(t)),
            fmt::format(
                "{} has been killed, but sleeps for stack pages and will not die before it gets them.",
                s.name(t)));
    }
}

void check_turn(const Scene& s) {
    const bool sleeps =
        s.at(abi::Mark::sleep) && s.mark()->args[1] == static_cast<std::uint64_t>(abi::WaitKind::pages);
    if (!sleeps && !s.at(abi::Mark::wait_done)) {
        return;
    }
    s.judge.examine(Inv::live2);
    for (std::uint32_t id = 0; id < s.view.threads.size(); ++id) {
        const ThreadId t{id};
        const Visit& visit = s.thread(t).visit;
        const std::uint32_t in_vain = visit.page_sleeps > 0 ? visit.page_sleeps - 1 : 0;
        if (s.thread(t).phase == Phase::wait && std::max(in_vain, visit.overtaken) >= patience) {
            s.judge.report(Inv::live2, {t}, fmt::format("wait of {}", s.name(t)),
                           fmt::format("{} still waits for its pages; it was woken {} times to find them "
                                       "taken, and {} later comers "
                                       "were served first.",
                                       s.name(t), in_vain, visit.overtaken));
        }
    }
}

/// Only where pages are handed out in turn: otherwise whoever comes first gets them.
void check_queue(const Scene& s) {
    if (!s.at(abi::Mark::enter_take) || !s.history.turn().thread || !abi::handed_out(s.policies.wait)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    const auto behind = s.thread(t).visit.behind;
    const auto source = static_cast<abi::StackSource>(s.mark()->args[1]);
    const bool ordinary = source == abi::StackSource::cache || source == abi::StackSource::nowait;
    if (s.thread(t).phase != Phase::enter || !ordinary || !s.judge.examine(Inv::live2) || !behind ||
        !s.view.asleep_for(*behind, abi::WaitKind::pages)) {
        return;
    }
    s.judge.report(Inv::live2, {*behind, t}, fmt::format("wait of {}", s.name(*behind)),
                   fmt::format("ENTER of {} ({}) takes a page although {} slept for pages before it began, and still does.",
                               s.name(t), entry_text(s.thread(t).visit.entry), s.name(*behind)));
}

void check_enter(const Scene& s) {
    const auto running = s.view.here().running;
    if (!running || s.thread(*running).phase != Phase::enter || s.may_wait(*running) ||
        !s.judge.examine(Inv::live4)) {
        return;
    }
    const std::string object = fmt::format("ENTER by {}", entry_text(s.thread(*running).visit.entry));
    if (s.at(abi::Mark::relax)) {
        s.judge.report(Inv::live4, {*running}, object,
                       fmt::format("{} spins inside ENTER ({}) of {}, which may not wait.", s.cpu(),
                                   entry_text(s.thread(*running).visit.entry), s.name(*running)));
    } else if (s.thread(*running).visit.enter_steps > enter_bound) {
        s.judge.report(
            Inv::live4, {*running}, object,
            fmt::format("ENTER ({}) of {} has taken more than {} instructions.",
                        entry_text(s.thread(*running).visit.entry), s.name(*running), enter_bound));
    }
}

void check_reschedule(const Scene& s) {
    for (const CpuView& cpu : s.view.cpus) {
        if (!cpu.regs.user_mode() || !cpu.running || !s.view.alive(*cpu.running) ||
            !s.judge.examine(Inv::live6) ||
            (s.view.thread(*cpu.running).work & abi::work_need_resched) == 0) {
            continue;
        }
        s.judge.report(Inv::live6, {*cpu.running}, fmt::format("need_resched of {}", s.name(*cpu.running)),
                       fmt::format("{} is in user mode on {} with need_resched set.", s.name(*cpu.running),
                                   cpu.regs.cpu));
    }
}

void check_cpu(const Scene& s) {
    const bool up = s.at(abi::Mark::cpu_online);
    if ((!up && !s.at(abi::Mark::cpu_offline) && !s.at(abi::Mark::cpu_up_failed)) ||
        s.mark()->args[0] >= s.view.cpus.size() || !s.judge.examine(Inv::live7)) {
        return;
    }
    const CpuView& cpu = s.view.cpus[s.mark()->args[0]];
    const std::uint32_t reserve = cpu.belief.reserve.count;
    const std::uint32_t kept = reserve + cpu.belief.cache.count + cpu.belief.hands.count;
    if (up && reserve < s.reserve_pages) {
        s.judge.report(Inv::live7, {}, fmt::format("reserve of {}", cpu.regs.cpu),
                       fmt::format("{} comes up with {} of {} pages in its reserve.", cpu.regs.cpu, reserve,
                                   s.reserve_pages));
    } else if (!up && kept > 0) {
        s.judge.report(
            Inv::live7, {}, fmt::format("pages of {}", cpu.regs.cpu),
            fmt::format("{} takes no threads any more and keeps {} pages: {} in its reserve, {} in its "
                        "cache, {} in hands.",
                        cpu.regs.cpu, kept, reserve, cpu.belief.cache.count, cpu.belief.hands.count));
    }
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    check_turn(s);
    check_queue(s);
    check_enter(s);
    check_reschedule(s);
    check_cpu(s);
}

void check_quiet(const Scene& s) {
    for (std::uint32_t id = 0; id < s.view.threads.size(); ++id) {
        if (s.view.asleep_for(ThreadId(id), abi::WaitKind::pages)) {
            check_pages_waiter(s, ThreadId(id));
        }
    }
}

}  // namespace stackrig::oracle::liveness
