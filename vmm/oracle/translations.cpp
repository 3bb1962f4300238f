// Page-table changes, flushes and accesses, stop by stop.
#include "vmm/oracle/translations.hpp"

#include <fmt/format.h>

#include "vmm/oracle/families.hpp"

namespace stackrig::oracle {
namespace translations {
namespace {

constexpr std::string_view file = "vmm/oracle/translations.cpp";
constexpr unsigned everywhere = under_fixed | under_entry_exit;

constexpr Invariant all[] = {
    {Inv::inv22, "INV-22", "no stale translation where a page is mapped", "", "",
     "When a stack page has been mapped, the CPU that mapped it holds no older translation of it: the claim "
     "of 18 March "
     "2024, that local invalidation at map time is all it takes. A flush that comes later may be as good: a "
     "note.",
     "At enter.pte, the TLB model of the executing CPU.", file, Basis::note, under_entry_exit},
    {Inv::inv23, "INV-23", "no frame changes hands while a CPU may hold it", "", "",
     "When a frame is mapped at another page or goes to the allocator, no CPU holds a translation to it. "
     "Stricter than "
     "needed, because a flush before the next use is as good: a note.",
     "At each stop, newly mapped stack pages and a changed free list, the TLB models of all CPUs.", file,
     Basis::note, everywhere},
    {Inv::inv24, "INV-24", "stack accesses reach the frame that is mapped", "", "",
     "No CPU uses a stack page for which it may still hold an older translation, nor one that is unmapped "
     "and may still be "
     "reached. The text says which fill policy it takes: demand, a CPU caches what it has used itself; arch, "
     "a CPU may "
     "have filled ahead whatever was mapped while it ran (SDM 4.10.2.3).",
     "At each stop, the pages the executing CPU may have used since the last one: of the running thread's "
     "stack those from "
     "RSP, or the lowest use it has recorded, up to the top; at remote.access the page named. What a CPU has "
     "invalidated: the instructions executed, where every one is looked at; elsewhere what the guest says.",
     file, Basis::derived, everywhere},
};

}  // namespace

std::span<const Invariant> rows() { return all; }

}  // namespace translations

namespace {

/// What the CPU has dropped since the last stop: where every instruction is looked at, what was executed; elsewhere what the guest says.
std::optional<engine::Invalidation> invalidated(const Scene& s) {
    if (s.view.stop->every_instruction) {
        return s.view.stop->invalidated;
    }
    if (!s.at(abi::Mark::flush)) {
        return std::nullopt;
    }
    return engine::Invalidation{static_cast<abi::FlushKind>(s.mark()->args[0]), Gva(s.mark()->args[1])};
}

CpuSet online(const View& view) {
    CpuSet set = 0;
    for (const CpuView& cpu : view.cpus) {
        set |= cpu.online ? only(cpu.regs.cpu) : CpuSet{0};
    }
    return set;
}

std::string page_text(const View& view, StackPage page) {
    return place_text(view,
                      {PlaceKind::stack_page, page.page, static_cast<std::uint16_t>(page.slot.value())});
}

std::string why_held(const Stale& stale, CpuId cpu) {
    return (stale.demand & only(cpu)) != 0
               ? fmt::format("{} has used that one itself (policy demand)", cpu)
               : fmt::format("{} may have filled it ahead while it was mapped (policy arch)", cpu);
}

CpuId any_holder(const Stale& stale) {
    const CpuSet set = stale.demand != 0 ? stale.demand : stale.arch;
    std::uint32_t cpu = 0;
    while ((set >> cpu & 1) == 0) {
        ++cpu;
    }
    return CpuId(cpu);
}

void report_23(const Scene& s, const Stale& stale, std::string_view now) {
    const CpuId holder = any_holder(stale);
    s.judge.report(Inv::inv23, {}, fmt::format("translations of {}", holder),
                   fmt::format("Frame {} is {} while {} may still reach it as {}: {}.", stale.frame, now,
                               holder, page_text(s.view, stale.page), why_held(stale, holder)));
}

}  // namespace

void Translations::observe(const Scene& s) {
    s.judge.examine(Inv::inv23);
    follow_tables(s);
    follow_flushes(s);
    check_free(s);
    follow_accesses(s);
}

void Translations::follow_tables(const Scene& s) {
    const CpuSet running = online(s.view);
    for (std::uint32_t slot = 0; slot < s.view.slots.size(); ++slot) {
        for (std::uint8_t i = 0; i < abi::stack_pages; ++i) {
            follow_page(s, {SlotId(slot), i}, s.view.slots[slot].page[i], running);
        }
    }
}

void Translations::follow_page(const Scene& s, StackPage page, Pte pte, CpuSet running) {
    const auto before = tlb_.mapped(page);
    if (!pte.present()) {
        if (before) {
            tlb_.unmap(page, running);
        }
        return;
    }
    if (before == pte.frame() && tlb_.global(page) == pte.global()) {
        return;
    }
    tlb_.map(page, pte.frame(), pte.global(), running);
    if (const auto stale = tlb_.stale_to(pte.frame(), page)) {
        report_23(s, *stale, fmt::format("{} now", page_text(s.view, page)));
    }
}

void Translations::follow_flushes(const Scene& s) {
    const CpuId cpu = s.cpu();
    const Gpa root = s.view.here().regs.cr3;
    if (roots_[cpu.value()] != root) {
        roots_[cpu.value()] = root;
        tlb_.flush_non_global(cpu);
    }
    if (const auto flush = invalidated(s)) {
        drop(cpu, *flush);
    }
    const engine::MarkStop* mark = s.mark();
    if (mark == nullptr) {
        return;
    }
    if (mark->mark == abi::Mark::cpu_online) {
        tlb_.flush_all(cpu);  // it comes from reset
    } else if (s.at(abi::Mark::handler_begin) &&
               mark->args[0] == static_cast<std::uint64_t>(abi::Entry::page_fault)) {
        const auto at = locate_access(s.view.here().regs.cr2);
        if (at && mark->args[1] == 0 && at->where == StackPointer::Where::thread_stack) {
            tlb_.flush_page(cpu, {at->slot, at->page});  // a fault drops what it was caused by (SDM 4.10.4.1)
        }
    } else if (s.at(abi::Mark::enter_pte) && s.history.turn().thread && s.judge.examine(Inv::inv22)) {
        const StackPage page{SlotId(s.view.thread(*s.history.turn().thread).slot),
                             static_cast<std::uint8_t>(mark->args[1] & 3)};
        if (const auto stale = tlb_.stale(cpu, page)) {
            s.judge.report(Inv::inv22, {*s.history.turn().thread}, fmt::format("translations of {}", cpu),
                           fmt::format("{} has mapped {} and may still hold its translation to frame {}: {}.",
                                       cpu, page_text(s.view, page), stale->frame, why_held(*stale, cpu)));
        }
    }
}

void Translations::drop(CpuId cpu, const engine::Invalidation& what) {
    switch (what.kind) {
        case abi::FlushKind::page: {
            const auto at = locate_access(what.page);
            if (at && at->where == StackPointer::Where::thread_stack) {
                tlb_.flush_page(cpu, {at->slot, at->page});
            }
            break;
        }
        case abi::FlushKind::cr3: tlb_.flush_non_global(cpu); break;
        case abi::FlushKind::all: tlb_.flush_all(cpu); break;
    }
}

void Translations::check_free(const Scene& s) {
    if (free_fingerprint_ == s.view.free_fingerprint) {
        return;
    }
    free_fingerprint_ = s.view.free_fingerprint;
    for (const Stale& stale : tlb_.all_stale()) {
        if (s.view.frames->is_free(stale.frame)) {
            report_23(s, stale, "on the free list");
        }
    }
}

void Translations::follow_accesses(const Scene& s) {
    lowest_.resize(s.view.threads.size(), ~0ull);
    if (s.at(abi::Mark::remote_access)) {
        const auto at = locate_access(Gva(s.mark()->args[1]));
        if (at && at->where == StackPointer::Where::thread_stack) {
            use(s, {at->slot, at->page});
        }
    }
    const CpuView& here = s.view.here();
    if (here.regs.user_mode() || !here.running || !s.view.exists(*here.running)) {
        return;
    }
    const abi::Thread& t = s.view.thread(*here.running);
    const bool deeper = t.lowest_rsp < lowest_[here.running->value()];
    lowest_[here.running->value()] = t.lowest_rsp;
    std::optional<std::uint8_t> deepest;
    if (here.rsp.where == StackPointer::Where::thread_stack && here.rsp.slot.value() == t.slot) {
        deepest = here.rsp.page;
    }
    const StackPointer lowest = locate(Gva(t.lowest_rsp));
    if (deeper && lowest.where == StackPointer::Where::thread_stack && lowest.slot.value() == t.slot) {
        deepest = std::max(deepest.value_or(0), lowest.page);
    }
    for (std::uint8_t i = 0; deepest && i <= *deepest; ++i) {
        if (tlb_.mapped({SlotId(t.slot), i})) {  // deeper than what is mapped is INV-5's affair, and its like
            use(s, {SlotId(t.slot), i});
        }
    }
}

void Translations::use(const Scene& s, StackPage page) {
    s.judge.examine(Inv::inv24);
    const auto stale = tlb_.access(s.cpu(), page);
    if (!stale) {
        return;
    }
    const auto now = tlb_.mapped(page);
    const auto running = s.view.here().running;
    s.judge.report(
        Inv::inv24, running ? std::vector{*running} : std::vector<ThreadId>{},
        fmt::format("{} on {}", page_text(s.view, page), s.cpu()),
        fmt::format("{} uses {}, which is {}, but it may still hold the translation to frame {}: {}.",
                    s.cpu(), page_text(s.view, page),
                    now ? fmt::format("frame {} now", *now) : "not mapped any more", stale->frame,
                    why_held(*stale, s.cpu())));
}

}  // namespace stackrig::oracle
