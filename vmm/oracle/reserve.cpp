// The per-CPU reserve: whole when needed, one user at a time, repaid in time.
#include <fmt/format.h>

#include "vmm/oracle/families.hpp"
#include "vmm/oracle/quotes.hpp"

namespace stackrig::oracle::reserve {
namespace {

constexpr std::string_view file = "vmm/oracle/reserve.cpp";

constexpr Invariant all[] = {
    {Inv::inv17, "INV-17", "the reserve is whole while user mode runs", quotes::reserve, quotes::mail,
     "While a CPU is in user mode, its reserve holds the configured number of pages (the mail: 3): any "
     "instruction "
     "may be interrupted by an entry that never enables IRQs.",
     "At each stop with a CPU at CPL 3, the reserve of that CPU. Not applicable when none is configured.",
     file, Basis::claim, under_entry_exit, "INV-19"},
    {Inv::inv19, "INV-19", "one user of the reserve is enough", quotes::reserve, quotes::mail,
     "At any time at most one thread holds pages of a CPU's reserve, and no entry that cannot wait finds "
     "them held by "
     "another thread: a second one is never needed.",
     "At each stop, the origin of the frames in P1..P3 of every thread; at enter.short and at enter.take "
     "from the "
     "reserve, who holds its pages.",
     file, Basis::claim, under_entry_exit},
    {Inv::inv20, "INV-20", "the reserve is repaid before user mode", "", "",
     "When EXIT is done and user mode is next, the reserve of the CPU holds the configured number of pages. "
     "Not said "
     "in the mail, but \"cannot be more than one ever needed\" depends on it.",
     "At exit.done, the reserve of the executing CPU. Not applicable when none is configured.", file,
     Basis::derived, under_entry_exit, "INV-19"},
    {Inv::inv21, "INV-21", "IRQs stay off while the reserve is on loan", "", "",
     "From an ENTER that used the reserve until its EXIT has repaid it, IF is never set while that thread "
     "runs. Not "
     "said in the mail, but with IRQs on the thread can be scheduled out and take the reserve along.",
     "At each stop, RFLAGS.IF of the CPU on which a thread with pages of the reserve runs.", file,
     Basis::derived, under_entry_exit, "INV-19"},
};

std::string holders_text(const Scene& s, CpuId cpu) {
    const auto holders = s.history.holders(cpu);
    if (holders.empty()) {
        return "nobody holds the rest on a stack";
    }
    return fmt::format("{} {} the rest", names_text(s.view, holders), holders.size() == 1 ? "holds" : "hold");
}

void check_inv17(const Scene& s) {
    for (const CpuView& cpu : s.view.cpus) {
        if (!cpu.online || !cpu.regs.user_mode() || s.reserve_pages == 0 || !s.judge.examine(Inv::inv17) ||
            cpu.belief.reserve.count >= s.least_reserve()) {
            continue;
        }
        s.judge.report(Inv::inv17, s.history.holders(cpu.regs.cpu),
                       fmt::format("reserve of {}", cpu.regs.cpu),
                       fmt::format("{} runs {} in user mode with {} of {} pages in its reserve; {}.",
                                   cpu.regs.cpu, cpu.running ? s.name(*cpu.running) : "an unknown thread",
                                   cpu.belief.reserve.count, s.reserve_pages, holders_text(s, cpu.regs.cpu)));
    }
}

void check_inv19_sharing(const Scene& s) {
    for (const CpuView& cpu : s.view.cpus) {
        const auto holders = s.history.holders(cpu.regs.cpu);
        if (holders.empty() || !s.judge.examine(Inv::inv19) || holders.size() == 1) {
            continue;
        }
        s.judge.report(Inv::inv19, holders, fmt::format("reserve of {}", cpu.regs.cpu),
                       fmt::format("{} hold pages of the reserve of {} at the same time.",
                                   names_text(s.view, holders), cpu.regs.cpu));
    }
}

/// A second one is needed: an entry that cannot wait wants the reserve while another thread has it.
void check_inv19_demand(const Scene& s) {
    const bool takes = s.at(abi::Mark::enter_take) &&
                       s.mark()->args[1] == static_cast<std::uint64_t>(abi::StackSource::reserve);
    const bool fails = s.at(abi::Mark::enter_short);
    if ((!takes && !fails) || !s.history.turn().thread || !s.judge.examine(Inv::inv19)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    for (const ThreadId holder : s.history.holders(s.cpu())) {
        if (holder != t) {
            s.judge.report(
                Inv::inv19, {t, holder}, fmt::format("reserve of {}", s.cpu()),
                fmt::format("{} enters by {} on {} and needs the reserve, but {} still holds {} of its pages "
                            "({}): a second one is needed.",
                            s.name(t), entry_text(s.thread(t).visit.entry), s.cpu(), s.name(holder),
                            s.history.lent(holder, s.cpu()), name_of(s.thread(holder).phase)));
        }
    }
}

void check_inv20(const Scene& s) {
    const CpuView& here = s.view.here();
    if (!s.at(abi::Mark::exit_done) || !here.readable || s.reserve_pages == 0 ||
        !s.judge.examine(Inv::inv20) || here.belief.reserve.count >= s.least_reserve()) {
        return;
    }
    const ThreadId t = s.history.turn().thread.value_or(ThreadId(0));
    s.judge.report(
        Inv::inv20, s.history.holders(s.cpu()), fmt::format("reserve of {}", s.cpu()),
        fmt::format(
            "EXIT of {} is done and user mode is next on {}, but the reserve holds {} of {} pages; {}.",
            s.name(t), s.cpu(), here.belief.reserve.count, s.reserve_pages, holders_text(s, s.cpu())));
}

void check_inv21(const Scene& s) {
    for (const CpuView& cpu : s.view.cpus) {
        if (!cpu.running || cpu.regs.user_mode() || s.history.lent(*cpu.running, cpu.regs.cpu) == 0 ||
            !s.judge.examine(Inv::inv21) || !cpu.regs.irqs_on() || cpu.belief.in_softirq != 0) {
            continue;
        }
        s.judge.report(Inv::inv21, {*cpu.running}, fmt::format("reserve of {}", cpu.regs.cpu),
                       fmt::format("IF is set on {} while {} ({}) holds {} pages of its reserve.",
                                   cpu.regs.cpu, s.name(*cpu.running), name_of(s.thread(*cpu.running).phase),
                                   s.history.lent(*cpu.running, cpu.regs.cpu)));
    }
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    check_inv17(s);
    check_inv19_sharing(s);
    check_inv19_demand(s);
    check_inv20(s);
    check_inv21(s);
}

}  // namespace stackrig::oracle::reserve
