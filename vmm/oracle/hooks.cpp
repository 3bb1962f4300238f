// The two hooks: IRQs off, once each, in turn, on every entry, never one inside another.
#include <fmt/format.h>

#include "vmm/oracle/families.hpp"
#include "vmm/oracle/quotes.hpp"

namespace stackrig::oracle::hooks {
namespace {

constexpr std::string_view file = "vmm/oracle/hooks.cpp";

constexpr Invariant all[] = {
    {Inv::inv8, "INV-8", "the hooks run with IRQs off, undisturbed", quotes::both_hooks, quotes::proposal,
     "IF is 0 from the beginning of each hook to its end and whenever a page is taken, mapped, unmapped or "
     "returned; "
     "inside a hook nothing is scheduled and the thread stays on its CPU.",
     "At each stop inside a hook, RFLAGS.IF of its CPU; at switch, the phase of the thread that leaves.",
     file, Basis::claim, under_entry_exit},
    {Inv::inv9, "INV-9", "every entry runs ENTER once before it needs depth", quotes::both_hooks,
     quotes::proposal,
     "Each transition from user mode that runs on the task stack has ENTER run exactly once before it leaves "
     "P0. An "
     "NMI has no hook, in Linux as here: it must stay within P0.",
     "At the hook marks and IRQ-enable sites; at each stop, RSP of entries without hook; at #PF and #DF from "
     "the "
     "kernel, CR2 against the stack area.",
     file, Basis::claim, under_entry_exit},
    {Inv::inv10, "INV-10", "every return runs EXIT once", quotes::exit, quotes::proposal,
     "Each return to user mode has EXIT run exactly once since the entry, the first return of a new thread "
     "included, "
     "an NMI excepted; after it, P0 alone is mapped. ENTER and EXIT take turns.",
     "At the hook marks; whenever a thread is seen in user mode or known to have been there.", file,
     Basis::claim, under_entry_exit},
    {Inv::inv31, "INV-31", "no hook inside a hook", "", "",
     "No event handled inside a hook runs a hook on the same CPU.",
     "At enter.begin and exit.begin, the phases of all threads whose hook is on that CPU.", file,
     Basis::derived, under_entry_exit},
};

bool moves_pages(abi::Mark mark) {
    return mark == abi::Mark::enter_take || mark == abi::Mark::enter_pte || mark == abi::Mark::exit_pte ||
           mark == abi::Mark::exit_give;
}

bool ends_hook(abi::Mark mark) { return mark == abi::Mark::enter_done || mark == abi::Mark::exit_done; }

void check_inv8_irqs(const Scene& s) {
    const CpuView& here = s.view.here();
    const bool inside = here.running && s.thread(*here.running).in_hook() && !here.regs.user_mode();
    const bool moving = s.mark() != nullptr && (moves_pages(s.mark()->mark) || ends_hook(s.mark()->mark));
    if ((!inside && !moving) || !s.judge.examine(Inv::inv8) || !here.regs.irqs_on()) {
        return;
    }
    const ThreadId t = here.running.value_or(ThreadId(0));
    s.judge.report(
        Inv::inv8, {t}, fmt::format("hook of {}", s.name(t)),
        fmt::format("IF is set on {} while {} is {}.", s.cpu(), s.name(t), name_of(s.thread(t).phase)));
}

void check_inv8_switch(const Scene& s) {
    if (s.at(abi::Mark::switch_to) && s.history.turn().thread && s.judge.examine(Inv::inv8)) {
        const ThreadId t = *s.history.turn().thread;
        if (s.thread(t).in_hook()) {
            s.judge.report(
                Inv::inv8, {t}, fmt::format("hook of {}", s.name(t)),
                fmt::format("{} is scheduled out while {}.", s.name(t), name_of(s.thread(t).phase)));
        }
    }
    const auto running = s.view.here().running;
    if (running && s.thread(*running).in_hook() && s.thread(*running).hook_cpu != s.cpu() &&
        s.judge.examine(Inv::inv8)) {
        s.judge.report(Inv::inv8, {*running}, fmt::format("hook of {}", s.name(*running)),
                       fmt::format("{} began its hook on {} and is {} on {}.", s.name(*running),
                                   s.thread(*running).hook_cpu, name_of(s.thread(*running).phase), s.cpu()));
    }
}

void check_inv9(const Scene& s) {
    const Turn& turn = s.history.turn();
    if (!turn.thread) {
        return;
    }
    const ThreadId t = *turn.thread;
    if (s.at(abi::Mark::enter_begin) && s.judge.examine(Inv::inv9) && turn.double_enter) {
        s.judge.report(
            Inv::inv9, {t}, fmt::format("ENTER of {}", s.name(t)),
            fmt::format("ENTER of {} ({}) begins, but {}.", s.name(t), entry_text(s.thread(t).visit.entry),
                        s.thread(t).visit.enters > 1 ? "it has run in this entry already"
                                                     : "the thread has not come from user mode by an entry "
                                                       "that has this hook"));
    }
    if (turn.skipped_enter && s.judge.examine(Inv::inv9)) {
        s.judge.report(
            Inv::inv9, {t}, fmt::format("ENTER of {}", s.name(t)),
            fmt::format("{} entered from user mode by {} and got past enter_from_user_mode(), but ENTER has "
                        "not run.",
                        s.name(t), entry_text(s.thread(t).visit.entry)));
    }
}

/// What a return to user mode looked back on: `visit` is over.
void check_inv10_return(const Scene& s) {
    const Turn& turn = s.history.turn();
    if (!turn.arrived || !s.view.exists(*turn.arrived)) {
        return;
    }
    const Visit& visit = turn.arrived_with;
    const bool hooked = visit.first_return || visit.enters > 0 || abi::entry_class(visit.entry).hook;
    if (!hooked || !s.judge.examine(Inv::inv10) || visit.exits == 1) {
        return;
    }
    const ThreadId t = *turn.arrived;
    s.judge.report(
        Inv::inv10, {t}, fmt::format("return of {}", s.name(t)),
        fmt::format("{} has returned to user mode from {}; EXIT has run {} times instead of once.", s.name(t),
                    visit.first_return ? "its first run" : entry_text(visit.entry), visit.exits));
}

void check_inv10_marks(const Scene& s) {
    const Turn& turn = s.history.turn();
    if (!turn.thread) {
        return;
    }
    const ThreadId t = *turn.thread;
    if (s.at(abi::Mark::exit_begin) && s.judge.examine(Inv::inv10) && turn.double_exit) {
        s.judge.report(Inv::inv10, {t}, fmt::format("return of {}", s.name(t)),
                       fmt::format("EXIT of {} begins, but it has run since the last entry.", s.name(t)));
    }
    if (s.at(abi::Mark::exit_done) && s.judge.examine(Inv::inv10) && s.view.mapped(t) != only_p0) {
        s.judge.report(Inv::inv10, {t}, fmt::format("stack of {}", s.name(t)),
                       fmt::format("EXIT of {} is done with {} mapped; it must be {{P0}}.", s.name(t),
                                   pages_text(s.view.mapped(t))));
    }
}

void check_inv31(const Scene& s) {
    if ((!s.at(abi::Mark::enter_begin) && !s.at(abi::Mark::exit_begin)) || !s.history.turn().thread ||
        !s.judge.examine(Inv::inv31)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    for (std::uint32_t id = 0; id < s.view.threads.size(); ++id) {
        const ThreadId other{id};
        if (other != t && s.view.alive(other) && s.thread(other).in_hook() &&
            s.thread(other).hook_cpu == s.cpu()) {
            s.judge.report(Inv::inv31, {t, other}, fmt::format("hooks of {}", s.cpu()),
                           fmt::format("A hook of {} begins on {} while {} is {}.", s.name(t), s.cpu(),
                                       s.name(other), name_of(s.thread(other).phase)));
        }
    }
    const CpuHistory& here = s.history.cpu(s.cpu());
    if (here.async > 0 || here.landed) {
        s.judge.report(
            Inv::inv31, {t}, fmt::format("hooks of {}", s.cpu()),
            fmt::format("A hook of {} begins on {} inside the handler of an NMI, #MC or #DB that interrupted "
                        "the kernel.",
                        s.name(t), s.cpu()));
    }
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    check_inv8_irqs(s);
    check_inv8_switch(s);
    check_inv9(s);
    check_inv10_return(s);
    check_inv10_marks(s);
    check_inv31(s);
}

}  // namespace stackrig::oracle::hooks
