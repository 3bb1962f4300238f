// The class table against what is seen: whether an entry enables IRQs before the exit loop.
#include <fmt/format.h>

#include "vmm/oracle/families.hpp"

namespace stackrig::oracle::classes {
namespace {

constexpr std::string_view file = "vmm/oracle/classes.cpp";
constexpr unsigned everywhere = under_fixed | under_entry_exit;

constexpr Invariant all[] = {
    {Inv::class1, "CLASS-1", "entries of class `never` leave IRQs off", "", "",
     "An entry whose row of the class table says that it never enables IRQs, or that it does so only for an "
     "interrupted "
     "context that had them on, runs with IF=0 until the exit loop. A softirq is the exception: nothing can "
     "be scheduled "
     "inside it.",
     "At each stop in the kernel before the exit loop, RFLAGS.IF against the row of the entry being handled.",
     file, Basis::rig, everywhere},
    {Inv::class2, "CLASS-2", "entries of class `always` enable IRQs", "", "",
     "An entry whose row says that it enables IRQs has been seen with IF=1 before the exit loop; a "
     "conditional one too when the "
     "interrupted context had IF=1. Entries that the scenario lets bail out are excepted.",
     "When exit work or EXIT begins, whether IF was ever seen set in this stay.", file, Basis::rig,
     everywhere},
};

bool before_exit_work(const ThreadHistory& h) {
    return !h.visit.exit_work && h.phase != Phase::user && h.phase != Phase::dead && h.phase != Phase::left;
}

bool enables(const Scene& s, ThreadId t) {
    const abi::IrqEnable row = abi::entry_class(s.thread(t).visit.entry).irq_enable;
    return row == abi::IrqEnable::always || (row == abi::IrqEnable::conditional && s.thread(t).user_irqs_on);
}

void check_never(const Scene& s, const CpuView& cpu) {
    const ThreadId t = *cpu.running;
    const ThreadHistory& h = s.thread(t);
    if (h.visit.entry == abi::Entry::none || !before_exit_work(h) || enables(s, t) ||
        cpu.belief.in_softirq != 0 || !s.judge.examine(Inv::class1) || !cpu.regs.irqs_on()) {
        return;
    }
    s.judge.report(
        Inv::class1, {t}, fmt::format("entry {}", entry_text(h.visit.entry)),
        fmt::format(
            "IF is set on {} while {} handles {} ({}), which by its row leaves IRQs off until the exit loop.",
            cpu.regs.cpu, s.name(t), entry_text(h.visit.entry), name_of(h.phase)));
}

void check_always(const Scene& s) {
    if ((!s.at(abi::Mark::loop_begin) && !s.at(abi::Mark::exit_begin)) || !s.history.turn().thread) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    const abi::Entry entry = s.thread(t).visit.entry;
    const bool bails_out = (s.plan.bail_outs >> static_cast<unsigned>(entry) & 1) != 0;
    if (entry == abi::Entry::none || bails_out || !enables(s, t) || !s.judge.examine(Inv::class2) ||
        s.thread(t).visit.irqs_seen_on) {
        return;
    }
    s.judge.report(Inv::class2, {t}, fmt::format("entry {}", entry_text(entry)),
                   fmt::format("{} leaves the kernel after {} without having been seen with IRQs on; by its "
                               "row {}() enables them.",
                               s.name(t), entry_text(entry), abi::entry_class(entry).function));
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    for (const CpuView& cpu : s.view.cpus) {
        if (cpu.online && cpu.running && !cpu.regs.user_mode() && s.user_thread(*cpu.running)) {
            check_never(s, cpu);
        }
    }
    check_always(s);
}

}  // namespace stackrig::oracle::classes
