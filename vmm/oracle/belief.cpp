// The guest's own bookkeeping against what is seen: pointers, lists, counts, who runs, what is on loan.
#include <fmt/format.h>

#include "vmm/oracle/families.hpp"

namespace stackrig::oracle::belief {
namespace {

constexpr std::string_view file = "vmm/oracle/belief.cpp";
constexpr unsigned everywhere = under_fixed | under_entry_exit;

constexpr Invariant all[] = {
    {Inv::i11, "I11", "caches, reserves and free list are well formed", "", "",
     "No stash holds more than its capacity or a frame that does not exist; the free list ends and links "
     "frames only.",
     "At each stop, every stash; the free list whenever it or the frame table changed.", file, Basis::rig,
     everywhere},
    {Inv::i17, "I17", "what the guest believes is what is seen", "", "",
     "PerCpu::current is the thread whose stack RSP is in, or whose root is in CR3; free_count is the length "
     "of the "
     "free list; Thread::loan and Thread::source agree with where the pages came from; a mark names the "
     "thread that "
     "runs, and irq.on the entry it came by; no hook is active in user mode.",
     "At each stop where the guest's data is at rest.", file, Basis::rig, everywhere},
    {Inv::i18, "I18", "one stack area for all address spaces", "", "",
     "The root in CR3 leads to the same stack page tables, with the same rights, as the kernel's root, and "
     "every "
     "stack PTE points to a frame of RAM.",
     "At each stop, the upper levels for each CPU's CR3, and every present stack PTE.", file, Basis::rig,
     everywhere},
    {Inv::ptr, "PTR", "pointers in guest structures are valid", "", "",
     "Every pointer and index the oracle follows is a direct-map or kernel-image address inside RAM, "
     "aligned, and "
     "points to an object of its table.",
     "At each stop, for every pointer and index followed.", file, Basis::rig, everywhere},
};

void check_bad_values(const Scene& s) {
    s.judge.examine(Inv::ptr);
    s.judge.examine(Inv::i11);
    for (const BadValue& bad : s.view.bad) {
        const std::string object = fmt::format("{} [{}]", bad.what, bad.index);
        switch (bad.kind) {
            case BadValue::Kind::pointer:
                s.judge.report(Inv::ptr, {}, object,
                               fmt::format("{} is {:#x}: no valid value.", object, bad.value));
                break;
            case BadValue::Kind::stash:
                s.judge.report(
                    Inv::i11, {}, object,
                    fmt::format("{} holds {:#x}, which is no frame or more than fits.", object, bad.value));
                break;
            case BadValue::Kind::free_list:
                s.judge.report(Inv::i11, {}, "free list",
                               fmt::format("The free list does not end: after {} links it reaches {:#x}.",
                                           bad.index, bad.value));
                break;
            case BadValue::Kind::pte_frame:
                s.judge.report(Inv::i18, {}, object,
                               fmt::format("A stack PTE of slot {} is {:#018x}: not a frame of RAM.",
                                           bad.index, bad.value));
                break;
        }
    }
}

void check_current(const Scene& s, const CpuView& cpu) {
    if (!cpu.online || s.history.cpu(cpu.regs.cpu).switching || !s.judge.examine(Inv::i17)) {
        return;
    }
    if (cpu.regs.user_mode() && !cpu.running) {
        s.judge.report(Inv::i17, {}, fmt::format("root of {}", cpu.regs.cpu),
                       fmt::format("{} is in user mode under root {}, which belongs to no thread.",
                                   cpu.regs.cpu, cpu.regs.cr3));
    } else if (cpu.running && cpu.current && *cpu.running != *cpu.current) {
        s.judge.report(Inv::i17, {*cpu.running, *cpu.current}, fmt::format("current of {}", cpu.regs.cpu),
                       fmt::format("{} believes it runs {}, but by RSP and CR3 it runs {}.", cpu.regs.cpu,
                                   s.name(*cpu.current), s.name(*cpu.running)));
    }
}

void check_hook(const Scene& s, const CpuView& cpu) {
    if (cpu.online && cpu.readable && cpu.regs.user_mode() && cpu.belief.hook_active != 0) {
        s.judge.report(Inv::i17, {}, fmt::format("hook of {}", cpu.regs.cpu),
                       fmt::format("{} is in user mode and believes that a hook still runs there.", cpu.regs.cpu));
    }
}

void check_free_count(const Scene& s) {
    const std::size_t listed = s.view.free_list.size();
    if (!s.view.free_list_broken && s.view.kernel.free_count != listed) {
        s.judge.report(Inv::i17, {}, "free_count",
                       fmt::format("free_count is {}, but the free list has {} frames.",
                                   s.view.kernel.free_count, listed));
    }
}

std::uint32_t lent_by_all(const Scene& s, ThreadId t) {
    std::uint32_t sum = 0;
    for (const CpuView& cpu : s.view.cpus) {
        sum += s.history.lent(t, cpu.regs.cpu);
    }
    return sum;
}

/// Loans change only inside hooks; outside, belief and origin of the pages agree.
void check_loan(const Scene& s, ThreadId t) {
    const ThreadHistory& h = s.thread(t);
    if (h.in_transit() || h.phase == Phase::dead || h.phase == Phase::gone) {
        return;
    }
    const std::uint32_t believed = s.view.thread(t).loan;
    const std::uint32_t lent = lent_by_all(s, t);
    const std::uint32_t lender = s.view.thread(t).loan_cpu;
    const bool made_good = s.policies.refill != abi::Refill::borrower && lender < s.view.cpus.size() && s.view.cpus[lender].belief.reserve.count >= s.reserve_pages;
    if (believed != lent && !made_good) {
        s.judge.report(
            Inv::i17, {t}, fmt::format("loan of {}", s.name(t)),
            fmt::format("{} believes {} of its pages are borrowed from a reserve; {} came from one.",
                        s.name(t), believed, lent));
    }
}

/// Thread::source once a hook or a wait is over.
void check_source(const Scene& s) {
    const bool entered = s.at(abi::Mark::enter_done);
    const bool waited = s.at(abi::Mark::wait_done);
    const bool left = s.at(abi::Mark::exit_done) || s.at(abi::Mark::shed_done);
    const ThreadId t(s.mark() != nullptr ? static_cast<std::uint32_t>(s.mark()->args[0]) : 0);
    if (!(entered || waited || left) || !s.view.exists(t)) {
        return;
    }
    using enum abi::StackSource;
    const abi::StackSource source = s.view.thread(t).source;
    const std::uint32_t lent = lent_by_all(s, t);
    std::string but;
    const bool agrees = source == reserve ? lent == abi::extra_pages : source == mixed ? lent > 0 && lent < abi::extra_pages : lent == 0;
    if (entered && !agrees) {
        but = fmt::format("{} of its pages came from a reserve", lent);
    } else if (entered && s.view.thread(t).pend != 0 && source != none) {
        but = "it has to wait for its pages";
    } else if (left && source != none) {
        but = "it has given back what it had";
    } else if (waited && s.view.thread(t).pend == 0 && source != abi::StackSource::wait && source != pool) {
        but = "its pages came while it waited";
    }
    if (!but.empty()) {
        s.judge.report(Inv::i17, {t}, fmt::format("source of {}", s.name(t)),
                       fmt::format("Thread::source of {} is {}, but {}.", s.name(t), static_cast<unsigned>(source), but));
    }
}

bool about_current(abi::Mark mark) {
    switch (mark) {
        case abi::Mark::enter_begin:
        case abi::Mark::enter_take:
        case abi::Mark::enter_pte:
        case abi::Mark::enter_done:
        case abi::Mark::enter_short:
        case abi::Mark::wait_begin:
        case abi::Mark::wait_done:
        case abi::Mark::loop_begin:
        case abi::Mark::loop_irq_on:
        case abi::Mark::exit_begin:
        case abi::Mark::exit_done:
        case abi::Mark::irq_on:
        case abi::Mark::sleep:
        case abi::Mark::thread_exit:
        case abi::Mark::syscall:
        case abi::Mark::signal:
            return true;
        default:
            return false;
    }
}

void check_mark(const Scene& s) {
    const auto running = s.view.here().running;
    if (s.mark() == nullptr || !about_current(s.mark()->mark) || !running ||
        s.mark()->args[0] == running->value()) {
        return;
    }
    s.judge.report(Inv::i17, {*running}, "mark",
                   fmt::format("A mark on {} speaks for thread {}, but {} (thread {}) runs there.", s.cpu(),
                               s.mark()->args[0], s.name(*running), running->value()));
}

/// The site of an entry says which one it believes to be; the hook has been told.
void check_entry(const Scene& s) {
    const auto t = s.history.turn().thread;
    if (!s.at(abi::Mark::irq_on) || !t || s.scheme != abi::Scheme::entry_exit || s.thread(*t).visit.entry == abi::Entry::none) {
        return;
    }
    const auto said = static_cast<abi::Entry>(s.mark()->args[1]);
    if (said != s.thread(*t).visit.entry) {
        s.judge.report(Inv::i17, {*t}, fmt::format("entry of {}", s.name(*t)),
                       fmt::format("{} says at its IRQ-enable site that it entered by {}, but it was {}.", s.name(*t), entry_text(said),
                                   entry_text(s.thread(*t).visit.entry)));
    }
}

void check_roots(const Scene& s) {
    s.judge.examine(Inv::i18);
    for (const CpuView& cpu : s.view.cpus) {
        if (cpu.online && cpu.own_tables) {
            s.judge.report(
                Inv::i18, {}, fmt::format("root of {}", cpu.regs.cpu),
                fmt::format("The stack area under CR3 {} of {} is not the one of the kernel's root {:#x}.",
                            cpu.regs.cr3, cpu.regs.cpu, s.view.kernel.kernel_cr3));
        }
    }
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    check_bad_values(s);
    check_roots(s);
    if (!s.history.turn().quiet) {
        return;
    }
    for (const CpuView& cpu : s.view.cpus) {
        check_current(s, cpu);
        check_hook(s, cpu);
    }
    check_free_count(s);
    for (std::uint32_t id = 0; id < s.view.threads.size(); ++id) {
        if (s.view.alive(ThreadId(id))) {
            check_loan(s, ThreadId(id));
        }
    }
    check_source(s);
    check_mark(s);
    check_entry(s);
}

}  // namespace stackrig::oracle::belief
