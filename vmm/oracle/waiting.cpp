// Sleeping for stack pages: who may, when, and on which pages.
#include <fmt/format.h>

#include "vmm/oracle/families.hpp"
#include "vmm/oracle/quotes.hpp"

namespace stackrig::oracle::waiting {
namespace {

constexpr std::string_view file = "vmm/oracle/waiting.cpp";

constexpr Invariant all[] = {
    {Inv::inv15, "INV-15", "sleep only once IRQs were enabled", quotes::sleep, quotes::mail,
     "A thread that came from user mode sleeps only after its entry, or the exit loop, has enabled IRQs; "
     "never with "
     "preemption off or in an interrupt. It waits for stack pages, and comes back, with IRQs on; and it does so only if its entry may by the "
     "class table in force (seed-literal: the five the mail lists), or where a policy has it wait.",
     "At sleep, wait.begin and wait.done: the marks irq.on and loop.irq_on of this entry, preempt_count, irq_nesting, "
     "RFLAGS.IF.",
     file, Basis::claim, under_fixed | under_entry_exit},
    {Inv::inv16, "INV-16", "a waiter has its top page and no more", quotes::sleep, quotes::mail,
     "From an ENTER that came without pages until the wait has brought them, P0 alone is mapped and RSP "
     "stays in it.",
     "At each stop of a thread that is owed pages, its leaf PTEs, RSP or saved RSP; at #PF and #DF from the "
     "kernel, "
     "CR2 against the stack area.",
     file, Basis::derived, under_entry_exit},
};

std::string_view wait_text(std::uint64_t kind) {
    switch (static_cast<abi::WaitKind>(kind)) {
        case abi::WaitKind::mutex:
            return "a mutex";
        case abi::WaitKind::event:
            return "an event";
        case abi::WaitKind::pages:
            return "stack pages";
        case abi::WaitKind::frame:
            return "a free page";
        default:
            return "nothing known";
    }
}

void check_inv15_sleep(const Scene& s) {
    if (!s.at(abi::Mark::sleep) || !s.history.turn().thread || !s.judge.examine(Inv::inv15)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    const CpuView& here = s.view.here();
    const Visit& visit = s.thread(t).visit;
    std::string wrong;
    if (!visit.irqs_were_on) {
        wrong = fmt::format("its entry ({}) has not enabled IRQs", entry_text(visit.entry));
    } else if (here.readable && here.belief.preempt_count != 0) {
        wrong = fmt::format("preempt_count is {}", here.belief.preempt_count);
    } else if (here.readable && here.belief.irq_nesting != 0) {
        wrong = "an interrupt handler is running";
    }
    if (!wrong.empty()) {
        s.judge.report(
            Inv::inv15, {t}, fmt::format("sleep of {}", s.name(t)),
            fmt::format("{} sleeps for {} although {}.", s.name(t), wait_text(s.mark()->args[1]), wrong));
    }
}

void check_inv15_wait(const Scene& s) {
    if (!s.at(abi::Mark::wait_begin) || !s.history.turn().thread || !s.judge.examine(Inv::inv15)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    const Visit& visit = s.thread(t).visit;
    std::string wrong;
    if (!s.view.here().regs.irqs_on()) {
        wrong = "IF is 0";
    } else if (!s.may_wait(t) && !s.waits_elsewhere()) {
        wrong = fmt::format("its entry ({}) is not one of those that may", entry_text(visit.entry));
    }
    if (!wrong.empty()) {
        s.judge.report(Inv::inv15, {t}, fmt::format("wait of {}", s.name(t)),
                       fmt::format("{} waits for stack pages although {}.", s.name(t), wrong));
    }
}

/// The entry goes on as it was when it came to its site.
void check_inv15_done(const Scene& s) {
    const auto t = s.history.turn().thread;
    if (s.at(abi::Mark::wait_done) && t && s.judge.examine(Inv::inv15) && !s.view.here().regs.irqs_on()) {
        s.judge.report(Inv::inv15, {*t}, fmt::format("wait of {}", s.name(*t)),
                       fmt::format("{} comes back from its wait for stack pages with IF 0.", s.name(*t)));
    }
}

/// The last part of the wait: the pages are in the hands or in PTEs already. The thread runs, it is not
/// asleep.
bool is_mapping(const Scene& s, ThreadId t) {
    for (const CpuView& cpu : s.view.cpus) {
        if (cpu.running == t) {
            return s.thread(t).visit.mapping || (!cpu.regs.irqs_on() && cpu.belief.hook_active != 0);
        }
    }
    return false;
}

void check_inv16(const Scene& s) {
    for (std::uint32_t id = 0; id < s.view.threads.size(); ++id) {
        const ThreadId t{id};
        const Phase phase = s.thread(t).phase;
        if ((phase != Phase::owed && phase != Phase::wait) || !s.user_thread(t) || is_mapping(s, t) ||
            !s.judge.examine(Inv::inv16) || s.view.mapped(t) == only_p0) {
            continue;
        }
        s.judge.report(Inv::inv16, {t}, fmt::format("stack of {}", s.name(t)),
                       fmt::format("{} ({}) has {} mapped; it must be {{P0}}.", s.name(t), name_of(phase),
                                   pages_text(s.view.mapped(t))));
    }
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    check_inv15_sleep(s);
    check_inv15_wait(s);
    check_inv15_done(s);
    check_inv16(s);
}

}  // namespace stackrig::oracle::waiting
