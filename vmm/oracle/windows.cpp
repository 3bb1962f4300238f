// How deep the stack may be used in each window, and what happens when it is used deeper than it is mapped.
#include <fmt/format.h>

#include "vmm/oracle/families.hpp"
#include "vmm/oracle/quotes.hpp"

namespace stackrig::oracle::windows {
namespace {

constexpr std::string_view file = "vmm/oracle/windows.cpp";
using Where = StackPointer::Where;

constexpr Invariant all[] = {
    {Inv::inv12, "INV-12", "4K is enough before ENTER is done", quotes::both_hooks, quotes::proposal,
     "From the entry until ENTER is done the task stack is used within P0, nested events included.",
     "At each stop of that window, RSP; at #PF and #DF from the kernel, CR2 against the stack area.", file,
     Basis::claim, under_entry_exit},
    {Inv::inv13, "INV-13", "4K is enough once EXIT has begun", quotes::both_hooks, quotes::proposal,
     "From the beginning of EXIT until user mode the task stack is used within P0, nested events included.",
     "At each stop of that window, RSP; at #PF and #DF from the kernel, CR2 against the stack area.", file,
     Basis::claim, under_entry_exit},
    {Inv::inv30, "INV-30", "a new thread's first run stays within its page", "", "",
     "A user thread's first run has no ENTER: until its EXIT it stays within P0. The mail is silent about "
     "it.",
     "At each stop of a thread's first run, RSP; at #PF and #DF from the kernel, CR2 against the stack area.",
     file, Basis::derived, under_entry_exit},
    {Inv::i4, "I4", "RSP is in a stack, with room for the next event", "", "",
     "In kernel mode RSP lies in a mapped page of the running thread's stack, in a stack of the executing "
     "CPU, or in "
     "the boot stack. With IRQs on, the page that an interrupt's frame would go to is mapped. A thread that "
     "is not "
     "running has its saved RSP in a mapped page of its own stack.",
     "At each stop, RSP of each CPU and saved RSP of each thread against the page tables.", file, Basis::rig,
     under_fixed | under_entry_exit},
    {Inv::i5, "I5", "no double fault, no fault on a kernel stack", "", "",
     "The kernel takes no double fault and no page fault on a stack page that is not mapped.",
     "At handler.begin of #DF, and of #PF from the kernel with CR2 in the stack area.", file, Basis::rig,
     under_fixed | under_entry_exit},
};

constexpr std::uint64_t event_frame_bytes = 5 * 8 + 8;  // SS RSP RFLAGS CS RIP, error code (SDM 6.14.2)

/// Which invariant the use of an unmapped stack page breaks.
Inv culprit(const ThreadHistory& h, const StackPointer& at) {
    if (at.where == Where::guard) {
        return Inv::inv3;
    }
    switch (h.phase) {
        case Phase::never_ran:
        case Phase::first:
            return Inv::inv30;
        case Phase::entry:
        case Phase::enter:
            return Inv::inv12;
        case Phase::owed:
        case Phase::wait:
            return Inv::inv16;
        case Phase::exit:
        case Phase::left:
            return Inv::inv13;
        case Phase::nmi:
        case Phase::user:
            return Inv::inv9;
        default:
            return h.visit.owed ? Inv::inv16 : Inv::inv5;
    }
}

std::string depth_text(const StackPointer& at) {
    if (at.where == Where::guard) {
        return fmt::format("{} bytes below the top, beyond the 16 KiB", at.depth);
    }
    return fmt::format("{} bytes below the top, in P{}", at.depth, at.page);
}

/// Phases in which P0 must do, whatever else is mapped.
std::optional<Inv> p0_only(const Scene& s, const ThreadHistory& h) {
    switch (h.phase) {
        case Phase::first:
            return h.execed || s.policies.new_thread == abi::NewThread::full ? std::nullopt : std::optional(Inv::inv30);
        case Phase::entry:
        case Phase::enter:
            return Inv::inv12;
        case Phase::nmi:
            return Inv::inv9;
        case Phase::owed:
        case Phase::wait:
            return Inv::inv16;
        case Phase::exit:
        case Phase::left:
            return Inv::inv13;
        default:
            return std::nullopt;
    }
}

void report_depth(const Scene& s, Inv inv, ThreadId t, const CpuView& cpu) {
    const ThreadHistory& h = s.thread(t);
    s.judge.report(inv, {t}, fmt::format("stack of {}", s.name(t)),
                   fmt::format("RSP of {} is {} of {}'s stack, of which {} are mapped; phase: {}, entry: {}.",
                               cpu.regs.cpu, depth_text(cpu.rsp), s.name(t), pages_text(s.view.mapped(t)),
                               name_of(h.phase), entry_text(h.visit.entry)));
}

void check_thread_stack(const Scene& s, const CpuView& cpu) {
    const ThreadId t = *cpu.running;
    if (s.user_thread(t)) {
        if (const auto inv = p0_only(s, s.thread(t));
            inv && s.judge.examine(*inv) && cpu.rsp.depth > abi::page_bytes) {
            report_depth(s, *inv, t, cpu);
            return;
        }
    }
    const bool mapped = cpu.rsp.where == Where::thread_stack && (s.view.mapped(t) >> cpu.rsp.page & 1) != 0;
    if (!mapped) {
        const Inv inv = culprit(s.thread(t), cpu.rsp);
        report_depth(s, s.judge.examine(inv) ? inv : Inv::i4, t, cpu);
        return;
    }
    const StackPointer pushed = locate(cpu.regs.rsp - event_frame_bytes);
    const bool room = pushed.where == Where::thread_stack && (s.view.mapped(t) >> pushed.page & 1) != 0;
    if (cpu.regs.irqs_on() && !room) {
        s.judge.report(
            Inv::i4, {t}, fmt::format("next frame of {}", s.name(t)),
            fmt::format("IRQs are on, but an interrupt's frame at {} would not fit in the mapped pages {} of "
                        "{}'s stack.",
                        cpu.regs.rsp, pages_text(s.view.mapped(t)), s.name(t)));
    }
}

void check_rsp(const Scene& s, const CpuView& cpu) {
    if (cpu.regs.user_mode() || !s.judge.examine(Inv::i4)) {
        return;
    }
    const bool on_stack = cpu.rsp.where == Where::thread_stack || cpu.rsp.where == Where::guard;
    if (on_stack && cpu.running && s.view.exists(*cpu.running)) {
        check_thread_stack(s, cpu);
        return;
    }
    const bool own_cpu_stack = cpu.rsp.where == Where::cpu_stack && cpu.rsp.cpu == cpu.regs.cpu;
    // SYSCALL does not change RSP, SYSRET expects the user's: a few instructions at either end have it, IRQs
    // off; C code, which raises marks, never runs there.
    const bool in_c = s.mark() != nullptr && s.cpu() == cpu.regs.cpu;
    const bool user_rsp = cpu.rsp.where == Where::user && !cpu.regs.irqs_on() && !in_c;
    if (!own_cpu_stack && !user_rsp && cpu.rsp.where != Where::kernel_image) {
        s.judge.report(Inv::i4, {}, fmt::format("RSP of {}", cpu.regs.cpu),
                       fmt::format("RSP of {} is {}, which is in no stack that this CPU may use.",
                                   cpu.regs.cpu, cpu.regs.rsp));
    }
}

bool on_a_cpu(const Scene& s, ThreadId t) {
    for (const CpuView& cpu : s.view.cpus) {
        if (cpu.running == t || cpu.current == t || s.history.cpu(cpu.regs.cpu).switching) {
            return true;
        }
    }
    return false;
}

void check_saved_rsp(const Scene& s) {
    for (std::uint32_t id = 0; s.history.turn().quiet && id < s.view.threads.size(); ++id) {
        const ThreadId t{id};
        if (!s.view.alive(t) || on_a_cpu(s, t)) {
            continue;
        }
        const StackPointer at = locate(Gva(s.view.thread(t).saved_rsp));
        const bool own = at.where == Where::thread_stack && at.slot.value() == s.view.thread(t).slot;
        if (!own || (s.view.mapped(t) >> at.page & 1) == 0) {
            s.judge.report(
                Inv::i4, {t}, fmt::format("saved RSP of {}", s.name(t)),
                fmt::format("{} is not running, and its saved RSP {:#x} is not in a mapped page of its stack "
                            "(mapped: {}).",
                            s.name(t), s.view.thread(t).saved_rsp, pages_text(s.view.mapped(t))));
        }
    }
}

/// A #PF or #DF whose CR2 lies in the stack area: somebody used a stack page that was not there.
void check_stack_fault(const Scene& s) {
    const engine::MarkStop* mark = s.mark();
    if (mark == nullptr || mark->mark != abi::Mark::handler_begin || mark->args[1] != 0) {
        return;
    }
    const bool double_fault = mark->args[0] == static_cast<std::uint64_t>(abi::Entry::double_fault);
    if (!double_fault && mark->args[0] != static_cast<std::uint64_t>(abi::Entry::page_fault)) {
        return;
    }
    s.judge.examine(Inv::i5);
    const CpuView& here = s.view.here();
    const auto at = locate_access(here.regs.cr2);
    const SlotView* slot =
        at && at->slot.value() < s.view.slots.size() ? &s.view.slots[at->slot.value()] : nullptr;
    const bool missing =
        slot != nullptr && (at->where == Where::guard || (slot->mapped >> at->page & 1) == 0) && slot->owner;
    if (!missing) {
        if (double_fault) {
            s.judge.report(Inv::i5, {}, fmt::format("#DF on {}", s.cpu()),
                           fmt::format("Double fault on {}; CR2 {} is in no stack's missing page.", s.cpu(),
                                       here.regs.cr2));
        }
        return;
    }
    const ThreadId t = *slot->owner;
    const Inv cause = here.running == t ? culprit(s.thread(t), *at) : Inv::i5;
    s.judge.report(
        s.judge.examine(cause) ? cause : Inv::i5, {t}, fmt::format("stack of {}", s.name(t)),
        fmt::format("{} on {} at {}: {} of {}'s stack, of which {} are mapped; phase: {}, entry: {}.",
                    double_fault ? "#DF" : "#PF", s.cpu(), here.regs.cr2, depth_text(*at), s.name(t),
                    pages_text(slot->mapped), name_of(s.thread(t).phase),
                    entry_text(s.thread(t).visit.entry)));
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    for (const CpuView& cpu : s.view.cpus) {
        if (cpu.online) {
            check_rsp(s, cpu);
        }
    }
    check_saved_rsp(s);
    check_stack_fault(s);
}

}  // namespace stackrig::oracle::windows
