// Invariants about which stack pages are mapped, when, and with which rights.
#include <fmt/format.h>

#include "vmm/oracle/families.hpp"
#include "vmm/oracle/quotes.hpp"

namespace stackrig::oracle::mapping {
namespace {

constexpr std::string_view file = "vmm/oracle/mapping.cpp";
constexpr unsigned everywhere = under_fixed | under_entry_exit;

constexpr Invariant all[] = {
    {Inv::inv1, "INV-1", "kthreads own all four pages", quotes::kthreads, quotes::proposal,
     "A kernel thread has P0..P3 mapped from before its first instruction until its stack is freed. Under "
     "the fixed "
     "scheme the same holds for every thread.",
     "At each stop, the four leaf PTEs of every live kernel thread's stack.", file, Basis::claim, everywhere},
    {Inv::inv2, "INV-2", "user threads are born with one page", quotes::user_threads, quotes::proposal,
     "A user thread that has not run ENTER yet has exactly P0 mapped, in a slot of 16 KiB whose page table "
     "exists.",
     "At each stop, the leaf PTEs of every user thread before its first enter.begin.", file, Basis::claim,
     under_entry_exit},
    {Inv::inv3, "INV-3", "guards absent, P0 present, no stack shared", "", "",
     "The guard pages below every stack are never present, the top page of a live thread always is, no two "
     "threads "
     "share a stack, and no stack runs over its 16 KiB.",
     "At each stop, guard PTEs and P0 of every slot; RSP and CR2 of kernel faults against the guard.", file,
     Basis::rig, everywhere},
    {Inv::inv5, "INV-5", "ENTER expands fully or not at all", quotes::enter, quotes::proposal,
     "When ENTER is done P1..P3 are mapped, or none of them is and the thread is owed them; only an entry "
     "that may "
     "wait may be owed. Outside the hooks no thread has a partial set, and in the kernel it has all four "
     "pages, or knows that it is owed them; it has them before it takes a signal.",
     "At enter.done, enter.short and signal; at loop.irq_on, Thread::pend; at each stop, the leaf PTEs of every user thread "
     "outside the hooks.",
     file, Basis::claim, under_entry_exit},
    {Inv::inv11, "INV-11", "one page while in user mode", quotes::user_threads, quotes::proposal,
     "While a CPU is in user mode, the thread that runs there has exactly P0 mapped.",
     "At each stop with a CPU at CPL 3, the leaf PTEs of the thread whose root is in CR3.", file,
     Basis::claim, under_entry_exit},
    {Inv::inv29, "INV-29", "a kthread that becomes a user thread keeps its pages until EXIT", "", "",
     "After kernel_execve() the thread has all four pages until its first EXIT begins; where they go then is INV-14's "
     "affair. The mail is silent about it.",
     "At exec and at each stop until the first exit.begin, the leaf PTEs of that thread.", file, Basis::derived, under_entry_exit},
    {Inv::inv27, "INV-27", "stack PTEs are RW, NX, supervisor, write-back", "", "",
     "Every present page of a stack is writable, not executable, not reachable from user mode, and "
     "write-back.",
     "At each stop, the rights of every present leaf PTE of the stack area, upper levels included.", file,
     Basis::rig, everywhere},
    {Inv::inv28, "INV-28", "a dead thread leaves nothing behind", "", "",
     "When a stack is freed no page of its slot is mapped and nothing that its thread borrowed is still on "
     "loan.",
     "At stack.free, and at each stop for every slot that belongs to no thread.", file, Basis::derived,
     everywhere},
};

bool must_be_full(const Scene& s, const abi::Thread& t) {
    const bool as_user = t.kind == abi::ThreadKind::user ||
                         (t.kind == abi::ThreadKind::worker && s.policies.workers == abi::Workers::as_user);
    return !as_user || s.scheme == abi::Scheme::fixed;
}

void check_inv1(const Scene& s, ThreadId t, const SlotView& slot) {
    if (!s.judge.examine(Inv::inv1) || slot.mapped == all_pages) {
        return;
    }
    s.judge.report(Inv::inv1, {t}, fmt::format("stack of {}", s.name(t)),
                   fmt::format("{} must own all four pages of its stack; {} are mapped.", s.name(t),
                               pages_text(slot.mapped)));
}

void check_inv2(const Scene& s, ThreadId t, const SlotView& slot) {
    const ThreadHistory& h = s.thread(t);
    const bool full = h.execed || (s.policies.new_thread == abi::NewThread::full && s.view.thread(t).kind == abi::ThreadKind::user);
    const std::uint8_t due = full ? all_pages : only_p0;
    const Inv inv = h.execed ? Inv::inv29 : Inv::inv2;
    if ((h.phase != Phase::never_ran && h.phase != Phase::first) || !s.judge.examine(inv) ||
        (slot.mapped == due && slot.has_table)) {
        return;
    }
    s.judge.report(
        inv, {t}, fmt::format("stack of {}", s.name(t)),
        fmt::format("User thread {} has {}, so it must have {}; {} {}.", s.name(t),
                    h.execed ? "become one and not left the kernel yet" : "not entered the kernel yet", full ? "all four pages" : "{P0} alone", pages_text(slot.mapped),
                    slot.has_table ? "are mapped" : "are mapped and its slot has no page table"));
}

void check_inv5_always(const Scene& s, ThreadId t, const SlotView& slot) {
    const ThreadHistory& h = s.thread(t);
    if (h.in_transit() || h.phase == Phase::dead || !s.judge.examine(Inv::inv5)) {
        return;
    }
    const bool in_kernel = h.phase == Phase::kernel || h.phase == Phase::loop;
    const bool full_due = in_kernel && h.visit.enters > 0 && !h.visit.owed;
    if (slot.mapped == all_pages || (slot.mapped == only_p0 && !full_due)) {
        return;
    }
    s.judge.report(Inv::inv5, {t}, fmt::format("stack of {}", s.name(t)),
                   fmt::format("{} ({}) has {} mapped outside the hooks; {}.", s.name(t), name_of(h.phase),
                               pages_text(slot.mapped),
                               full_due ? "after ENTER it must be all four" : "it must be {P0} or all four"));
}

void check_inv5_done(const Scene& s) {
    if (!s.at(abi::Mark::enter_done) || !s.history.turn().thread || !s.judge.examine(Inv::inv5)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    const ThreadHistory& h = s.thread(t);
    const bool pend = s.mark()->args[2] != 0;
    const bool believed = s.view.thread(t).pend != 0;
    const std::uint8_t mapped = s.view.mapped(t);
    const bool full = mapped == all_pages && !pend;
    const bool may_owe = s.may_wait(t) || s.policies.repair == abi::Repair::irq_stack;
    const bool owed = mapped == only_p0 && pend && may_owe;
    if ((full || owed) && pend == believed) {
        return;
    }
    s.judge.report(
        Inv::inv5, {t}, fmt::format("ENTER of {}", s.name(t)),
        fmt::format("ENTER of {} ({}) is done with {} mapped, {} its pages (mark) and {} (Thread::pend); "
                    "this entry {} wait.",
                    s.name(t), entry_text(h.visit.entry), pages_text(mapped), pend ? "owed" : "not owed",
                    believed ? "owed" : "not owed",
                    may_owe ? "may" : "may not"));
}

/// Exit work may go deep. Whoever has given its pages back by then must know that it has to ask for others.
void check_inv5_loop(const Scene& s) {
    if (!s.at(abi::Mark::loop_irq_on) || !s.history.turn().thread || !s.judge.examine(Inv::inv5)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    if (s.thread(t).visit.enters > 0 && s.view.mapped(t) == only_p0 && s.view.thread(t).pend == 0) {
        s.judge.report(Inv::inv5, {t}, fmt::format("exit work of {}", s.name(t)),
                       fmt::format("{} goes on with its exit work on {{P0}} alone, and is owed no pages (Thread::pend).", s.name(t)));
    }
}

/// By then it has asked. Only who may be killed while it waits dies without pages.
void check_inv5_signal(const Scene& s) {
    if (!s.at(abi::Mark::signal) || !s.history.turn().thread || s.policies.kill == abi::Kill::killable || !s.judge.examine(Inv::inv5)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    if (s.thread(t).visit.enters > 0 && s.view.mapped(t) != all_pages) {
        s.judge.report(Inv::inv5, {t}, fmt::format("signal of {}", s.name(t)),
                       fmt::format("{} takes its signal with {} mapped: to die, or to build a signal frame, goes deep.", s.name(t),
                                   pages_text(s.view.mapped(t))));
    }
}

/// No page left although nobody else holds the reserve; with another holder it is the reserve's affair
/// (INV-19).
void check_inv5_short(const Scene& s) {
    if (!s.at(abi::Mark::enter_short) || !s.history.turn().thread || !s.judge.examine(Inv::inv5)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    for (const ThreadId holder : s.history.holders(s.cpu())) {
        if (holder != t) {
            return;
        }
    }
    s.judge.report(
        Inv::inv5, {t}, fmt::format("ENTER of {}", s.name(t)),
        fmt::format("ENTER of {} ({}) lacks {} pages: cache, allocator and reserve have none left, and this "
                    "entry may not wait.",
                    s.name(t), entry_text(s.thread(t).visit.entry), s.mark()->args[2]));
}

void check_inv11(const Scene& s) {
    for (const CpuView& cpu : s.view.cpus) {
        if (!cpu.regs.user_mode() || !cpu.running || !s.view.exists(*cpu.running) ||
            !s.judge.examine(Inv::inv11)) {
            continue;
        }
        const std::uint8_t mapped = s.view.mapped(*cpu.running);
        if (mapped != only_p0) {
            s.judge.report(
                Inv::inv11, {*cpu.running}, fmt::format("stack of {}", s.name(*cpu.running)),
                fmt::format("{} runs {} in user mode with {} of its kernel stack mapped; it must be {{P0}}.",
                            cpu.regs.cpu, s.name(*cpu.running), pages_text(mapped)));
        }
    }
}

void check_inv3_slot(const Scene& s, std::uint32_t index, const SlotView& slot) {
    if (slot.guards != 0) {
        s.judge.report(Inv::inv3, slot.owner ? std::vector{*slot.owner} : std::vector<ThreadId>{},
                       fmt::format("guard of slot {}", index),
                       fmt::format("A guard page below stack slot {} is present (guard pages {:#x}).", index,
                                   slot.guards));
    }
    if (slot.rival) {
        s.judge.report(Inv::inv3, {*slot.owner, *slot.rival}, fmt::format("slot {}", index),
                       fmt::format("{} and {} both use stack slot {}.", s.name(*slot.owner),
                                   s.name(*slot.rival), index));
    }
    if (slot.owner && s.view.alive(*slot.owner) && (slot.mapped & only_p0) == 0) {
        s.judge.report(Inv::inv3, {*slot.owner}, fmt::format("P0 of {}", s.name(*slot.owner)),
                       fmt::format("P0 of live thread {} is not present; {} are mapped.", s.name(*slot.owner),
                                   pages_text(slot.mapped)));
    }
}

void check_inv27_slot(const Scene& s, std::uint32_t index, const SlotView& slot) {
    for (unsigned i = 0; i < abi::stack_pages; ++i) {
        const Pte pte = slot.page[i];
        if (!pte.present() || (pte.writable() && !pte.user() && pte.no_execute() && !pte.uncached())) {
            continue;
        }
        const Place place{PlaceKind::stack_page, static_cast<std::uint8_t>(i),
                          static_cast<std::uint16_t>(index)};
        s.judge.report(
            Inv::inv27, slot.owner ? std::vector{*slot.owner} : std::vector<ThreadId>{},
            place_text(s.view, place),
            fmt::format("{} is mapped by PTE {:#018x}:{}{}{}{}.", place_text(s.view, place), pte.raw,
                        pte.writable() ? "" : " read-only", pte.user() ? " with the user bit set" : "",
                        pte.no_execute() ? "" : " executable", pte.uncached() ? " not write-back" : ""));
    }
}

void check_inv28(const Scene& s) {
    const bool freed = s.at(abi::Mark::stack_free) && s.history.turn().thread;
    if (freed && s.judge.examine(Inv::inv28)) {
        const ThreadId t = *s.history.turn().thread;
        const abi::Thread& dead = s.view.thread(t);
        if (dead.loan != 0) {
            s.judge.report(
                Inv::inv28, {t}, fmt::format("loan of {}", s.name(t)),
                fmt::format("The stack of {} is freed while {} pages of cpu{}'s reserve are on loan to it.",
                            s.name(t), dead.loan, dead.loan_cpu));
        }
    }
    for (std::uint32_t i = 0; i < s.view.slots.size(); ++i) {
        const SlotView& slot = s.view.slots[i];
        if (!slot.owner && slot.mapped != 0 && s.judge.examine(Inv::inv28)) {
            s.judge.report(Inv::inv28, {}, fmt::format("slot {}", i),
                           fmt::format("Stack slot {} belongs to no thread, yet {} are mapped.", i,
                                       pages_text(slot.mapped)));
        }
    }
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    for (std::uint32_t id = 0; id < s.view.threads.size(); ++id) {
        const ThreadId t{id};
        const SlotView* slot = s.view.alive(t) ? s.view.slot_of(t) : nullptr;
        if (slot == nullptr) {
            continue;
        }
        if (must_be_full(s, s.view.thread(t))) {
            check_inv1(s, t, *slot);
        } else {
            check_inv2(s, t, *slot);
            check_inv5_always(s, t, *slot);
        }
    }
    check_inv5_done(s);
    check_inv5_loop(s);
    check_inv5_signal(s);
    check_inv5_short(s);
    check_inv11(s);
    s.judge.examine(Inv::inv3);
    s.judge.examine(Inv::inv27);
    for (std::uint32_t i = 0; i < s.view.slots.size(); ++i) {
        check_inv3_slot(s, i, s.view.slots[i]);
        check_inv27_slot(s, i, s.view.slots[i]);
    }
    check_inv28(s);
}

}  // namespace stackrig::oracle::mapping
