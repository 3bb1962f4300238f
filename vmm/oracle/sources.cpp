// Where ENTER gets its pages from: order of the sources, whose cache, and who may touch the reserve.
#include <fmt/format.h>

#include "vmm/oracle/families.hpp"
#include "vmm/oracle/quotes.hpp"

namespace stackrig::oracle::sources {
namespace {

constexpr std::string_view file = "vmm/oracle/sources.cpp";
using abi::StackSource;

constexpr Invariant all[] = {
    {Inv::inv6, "INV-6", "cache, then GFP_NOWAIT, then wait or reserve", quotes::sources, quotes::mail,
     "A page comes from the allocator only when the cache of the CPU is empty; from the reserve, or by "
     "waiting, only "
     "when GFP_NOWAIT has failed besides. A pool shared by all CPUs is the last resort: behind an empty reserve (repair = \"global-pool\"), or set aside "
     "for threads with SIGKILL pending (kill = \"emergency\").",
     "At enter.take and enter.done, against the cache, the free list and the answers of the allocator's "
     "choice point "
     "during that ENTER.",
     file, Basis::claim, under_entry_exit},
    {Inv::inv7, "INV-7", "the source is what the hook says, on the executing CPU", quotes::enter,
     quotes::proposal,
     "A page that ENTER takes from a cache or reserve comes from that of the executing CPU; one from the "
     "allocator "
     "was on the free list.",
     "At enter.take, the place where the frame was last seen.", file, Basis::claim, under_entry_exit},
    {Inv::inv18, "INV-18", "only entries that may not wait use the reserve", quotes::reserve, quotes::mail,
     "Only an entry that may not wait by the class table in force (seed-literal: all but the mail's five) takes pages from the reserve.",
     "At enter.take: entry kind, and where the frame was last seen.", file, Basis::claim, under_entry_exit},
    {Inv::asm1, "ASM-1", "entries outside the list never enable IRQs", quotes::never, quotes::mail,
     "An entry that the mail does not list leaves IRQs off until the exit loop. Linux's own code contradicts "
     "this for "
     "int 0x80, #UD, #GP, #DE and others, so it is told as a note unless the scenario is about it.",
     "At irq.on, the class of the entry.", file, Basis::note, under_fixed | under_entry_exit},
};

std::string_view source_name(StackSource source) {
    switch (source) {
        case StackSource::cache:
            return "cache";
        case StackSource::nowait:
            return "GFP_NOWAIT";
        case StackSource::reserve:
            return "reserve";
        case StackSource::wait:
            return "wait";
        case StackSource::pool:
            return "pool";
        default:
            return "unknown source";
    }
}

struct Take {
    ThreadId thread;
    StackSource source;
    Pfn pfn;
};

/// Pages are kept for those who wait already.
bool others_come_first(const Scene& s) {
    return abi::handed_out(s.policies.wait) && s.view.kernel.page_waiters.head != 0;
}

bool may_allocate(const Scene& s, abi::Entry entry) {
    return s.policies.classes == abi::Classes::seed_literal || entry != abi::Entry::machine_check;
}

/// Why the pool may not be used; empty where it may.
std::string against_pool(const Scene& s, const Take& take) {
    const std::uint32_t reserve = s.view.here().belief.reserve.count;
    if (s.policies.repair == abi::Repair::global_pool) {
        return reserve == 0 ? "" : fmt::format("the reserve of {} still holds {} pages", s.cpu(), reserve);
    }
    return s.view.thread(take.thread).signal == abi::sigkill ? "" : "it is set aside for the dying, and no SIGKILL is pending";
}

void check_inv6_take(const Scene& s, const Take& take) {
    const CpuView& here = s.view.here();
    if (take.source == StackSource::cache || !here.readable || !s.judge.examine(Inv::inv6)) {
        return;
    }
    const Visit& visit = s.thread(take.thread).visit;
    std::string wrong;
    if (take.source == StackSource::pool) {
        wrong = against_pool(s, take);
    } else if (others_come_first(s)) {
        return;
    } else if (here.belief.cache.count > 0) {
        wrong = fmt::format("the cache of {} still holds {} pages", s.cpu(), here.belief.cache.count);
    } else if (take.source == StackSource::reserve && !visit.alloc_failed && may_allocate(s, visit.entry)) {
        wrong = "GFP_NOWAIT has not failed in this ENTER";
    } else if (take.source == StackSource::wait && s.thread(take.thread).phase != Phase::wait) {
        wrong = "the thread has not waited";
    }
    if (!wrong.empty()) {
        s.judge.report(Inv::inv6, {take.thread}, fmt::format("ENTER of {}", s.name(take.thread)),
                       fmt::format("{} takes frame {} from {} although {}.", s.name(take.thread), take.pfn,
                                   source_name(take.source), wrong));
    }
}

void check_inv6_owed(const Scene& s) {
    if (!s.at(abi::Mark::enter_done) || s.mark()->args[2] == 0 || !s.history.turn().thread ||
        !s.judge.examine(Inv::inv6)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    const Visit& visit = s.thread(t).visit;
    if ((!visit.cache_ran_out || !visit.alloc_failed) && !others_come_first(s)) {
        s.judge.report(Inv::inv6, {t}, fmt::format("ENTER of {}", s.name(t)),
                       fmt::format("{} is to wait for its pages although {}.", s.name(t),
                                   visit.cache_ran_out ? "GFP_NOWAIT has not failed in this ENTER"
                                                       : "the cache did not run out in this ENTER"));
    }
}

bool came_from(const Scene& s, StackSource source, Place from) {
    const bool own = from.owner == s.cpu().value();
    switch (source) {
        case StackSource::cache:
            return from.kind == PlaceKind::cache && own;
        case StackSource::reserve:
            return from.kind == PlaceKind::reserve && own;
        case StackSource::nowait:
            return from.kind == PlaceKind::free_list;
        case StackSource::pool:
            return from.kind == PlaceKind::pool;
        case StackSource::wait:
            return from.kind == PlaceKind::free_list || (from.kind == PlaceKind::cache && own);
        default:
            return false;
    }
}

void check_inv7(const Scene& s, const Take& take) {
    if (!s.judge.examine(Inv::inv7)) {
        return;
    }
    const Place from = s.history.settled(take.pfn);
    const bool held = s.view.frames->at(take.pfn).in_hands > 0;
    if (came_from(s, take.source, from) && held) {
        return;
    }
    s.judge.report(
        Inv::inv7, {take.thread}, fmt::format("frame {}", take.pfn),
        fmt::format("{} on {} says it took frame {} from {}; the frame was last in {} and is {} the hands of "
                    "the hook.",
                    s.name(take.thread), s.cpu(), take.pfn, source_name(take.source),
                    place_text(s.view, from), held ? "in" : "not in"));
}

void check_inv18(const Scene& s, const Take& take) {
    const bool from_reserve =
        take.source == StackSource::reserve || s.history.settled(take.pfn).kind == PlaceKind::reserve;
    if (!from_reserve || !s.judge.examine(Inv::inv18)) {
        return;
    }
    const abi::Entry entry = s.thread(take.thread).visit.entry;
    if (s.may_wait(take.thread)) {
        s.judge.report(
            Inv::inv18, {take.thread}, fmt::format("ENTER of {}", s.name(take.thread)),
            fmt::format("{} takes frame {} from the reserve of {}, but its entry ({}) is one of those "
                        "that may wait.",
                        s.name(take.thread), take.pfn, s.cpu(), entry_text(entry)));
    }
}

void check_asm1(const Scene& s) {
    if (!s.at(abi::Mark::irq_on) || !s.history.turn().thread || !s.judge.examine(Inv::asm1)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    const abi::Entry entry = s.thread(t).visit.entry;
    if (entry != abi::Entry::none && s.policies.classes == abi::Classes::seed_literal && !abi::entry_class(entry).listed) {
        s.judge.report(
            Inv::asm1, {t}, fmt::format("entry {}", entry_text(entry)),
            fmt::format("{} entered by {}, which is not on the mail's list, and {}() has enabled IRQs.",
                        s.name(t), entry_text(entry), abi::entry_class(entry).function));
    }
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    if (s.at(abi::Mark::enter_take) && s.history.turn().thread) {
        const Take take{*s.history.turn().thread, static_cast<StackSource>(s.mark()->args[1]),
                        Pfn(static_cast<std::uint32_t>(s.mark()->args[2]))};
        check_inv6_take(s, take);
        check_inv7(s, take);
        check_inv18(s, take);
    }
    check_inv6_owed(s);
    check_asm1(s);
}

}  // namespace stackrig::oracle::sources
