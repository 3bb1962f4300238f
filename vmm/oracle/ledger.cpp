// The frame ledger: every stack frame is in exactly one place, at every stop.
#include <fmt/format.h>

#include "vmm/oracle/families.hpp"
#include "vmm/oracle/quotes.hpp"

namespace stackrig::oracle::ledger {
namespace {

constexpr std::string_view file = "vmm/oracle/ledger.cpp";
constexpr unsigned everywhere = under_fixed | under_entry_exit;

constexpr Invariant all[] = {
    {Inv::inv4, "INV-4", "every frame is in exactly one place", quotes::exit, quotes::proposal,
     "A frame used for stacks is in exactly one of: a stack PTE, a cache, a reserve, the hands of a hook. "
     "The hands may "
     "hold a frame that is also in the place it leaves or reaches. Frames on the free list are nowhere else, "
     "and none "
     "is lost; between two instructions one frame per CPU may be in flight.",
     "At each stop, all stack PTEs, caches, reserves and hands; the frame table and the free list too, "
     "except after a "
     "single instruction that leaves the list's head alone. Labels and lists are compared where the guest's "
     "data is at "
     "rest.",
     file, Basis::claim, everywhere},
    {Inv::inv14, "INV-14", "EXIT returns what ENTER took", quotes::exit, quotes::proposal,
     "When EXIT is done, every frame that was in P1..P3 is in the cache of the executing CPU; as many as the "
     "reserve "
     "of that CPU had lent are in the reserve instead. (A full cache gives to the allocator: the mail does "
     "not say.)",
     "At exit.done, the place of each frame seen in P1..P3 at exit.begin.", file, Basis::claim,
     under_entry_exit},
};

void report_frame(const Scene& s, Pfn pfn, std::string text) {
    s.judge.report(Inv::inv4, {}, fmt::format("frame {}", pfn), std::move(text));
}

/// At every instruction: never in two solid places, never mapped twice.
void check_places(const Scene& s, Pfn pfn) {
    const FrameSeen seen = s.view.frames->at(pfn);
    if (seen.solids > 1) {
        report_frame(s, pfn,
                     fmt::format("Frame {} is in {} and in {} at once.", pfn, place_text(s.view, seen.solid),
                                 place_text(s.view, seen.second)));
    } else if (seen.in_hands > 1) {
        report_frame(s, pfn, fmt::format("Frame {} is in the hands of a hook twice.", pfn));
    }
}

/// At rest: labels agree with places, and the free list shares nothing.
void check_label(const Scene& s, Pfn pfn) {
    const FrameSeen seen = s.view.frames->at(pfn);
    const abi::FrameUse use = s.view.use(pfn);
    if (s.view.frames->is_free(pfn) && seen.in_hands > 0) {
        report_frame(
            s, pfn,
            fmt::format("Frame {} is on the free list and in {}.", pfn, place_text(s.view, seen.hands)));
        return;
    }
    const bool hogged = seen.solid.kind == PlaceKind::hogged;
    const abi::FrameUse due = hogged ? abi::FrameUse::hogged : abi::FrameUse::stack;
    if (seen.solids <= 1 && use != due && !s.view.frames->is_free(pfn)) {
        report_frame(s, pfn,
                     fmt::format("Frame {} is in {}, but the guest labels it as use {} instead of {}.", pfn,
                                 place_text(s.view, seen.solids > 0 ? seen.solid : seen.hands),
                                 static_cast<unsigned>(use), static_cast<unsigned>(due)));
    }
}

/// Between two instructions of the guest one frame per CPU may be in flight (in a register); at rest none.
void check_lost(const Scene& s) {
    std::size_t in_flight = s.history.turn().quiet ? 0 : s.view.cpus.size();
    for (const Pfn pfn : s.view.stack_frames) {
        const FrameSeen seen = s.view.frames->at(pfn);
        if (seen.solids > 0 || seen.in_hands > 0) {
            continue;
        }
        if (in_flight > 0) {
            --in_flight;
            continue;
        }
        report_frame(s, pfn,
                     fmt::format("Frame {} is labelled as a stack frame, but no stack PTE, cache, reserve "
                                 "or hook holds it: it has leaked. It was last seen in {}.",
                                 pfn, place_text(s.view, s.history.settled(pfn))));
    }
}

void check_free_list(const Scene& s) {
    const std::size_t listed = s.view.free_list.size();
    if (s.view.free_list_broken || listed == s.view.free_labelled) {
        return;
    }
    s.judge.report(Inv::inv4, {}, "free list",
                   fmt::format("The free list holds {} frames, but {} are labelled free.", listed,
                               s.view.free_labelled));
}

/// A kernel has boot memory, and keeps it. What a scheme takes later goes through this label only on its way from and to the free list,
/// which no stop sees; but whoever waits inside the allocator for one page after another sleeps with all but the last.
void check_kernel_frames(const Scene& s) {
    const std::uint32_t booted = s.history.kernel_frames();
    std::uint32_t held = 0;
    for (std::uint32_t id = 0; s.policies.wait == abi::Wait::itself && id < s.view.threads.size(); ++id) {
        held += s.thread(ThreadId(id)).phase == Phase::wait ? abi::extra_pages - 1 : 0;
    }
    if (s.view.kernel_labelled < booted || s.view.kernel_labelled > booted + held) {
        s.judge.report(Inv::inv4, {}, "kernel frames",
                       fmt::format("Of the kernel's own frames there are {}, and were {} when it had booted. Nobody keeps or gives back such a "
                                   "frame since{}: one {}.",
                                   s.view.kernel_labelled, booted, held > 0 ? fmt::format(", but for {} at most that waiters may hold", held) : "",
                                   s.view.kernel_labelled < booted ? "has been given away" : "has leaked"));
    }
}

bool hook_running(const Scene& s, const CpuView& cpu) {
    if (cpu.belief.hook_active != 0) {
        return true;
    }
    return cpu.running && s.thread(*cpu.running).in_transit();
}

void check_hands(const Scene& s) {
    for (const CpuView& cpu : s.view.cpus) {
        if (cpu.readable && cpu.belief.hands.count > 0 && !hook_running(s, cpu)) {
            s.judge.report(Inv::inv4, {}, fmt::format("hands of {}", cpu.regs.cpu),
                           fmt::format("{} frames are in the hands of {}, but no hook runs there.",
                                       cpu.belief.hands.count, cpu.regs.cpu));
        }
    }
}

/// Where a page that EXIT of `h` has unmapped may be afterwards.
bool well_returned(const Scene& s, const ThreadHistory& h, Place place) {
    const auto here = static_cast<std::uint16_t>(s.cpu().value());
    switch (place.kind) {
        case PlaceKind::reserve: return place.owner == here;
        case PlaceKind::cache:
            return place.owner == here ||
                   (s.policies.return_to == abi::ReturnTo::origin && place.owner == h.funded_on.value());
        case PlaceKind::free_list: return s.view.here().belief.cache.count >= s.policies.cache_cap;
        case PlaceKind::grant: return abi::handed_out(s.policies.wait);
        case PlaceKind::pool: return s.policies.pool_pages > 0;
        default: return false;
    }
}

void check_inv14(const Scene& s) {
    if (!s.at(abi::Mark::exit_done) || !s.history.turn().thread || !s.judge.examine(Inv::inv14)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    const ThreadHistory& h = s.thread(t);
    const auto here = static_cast<std::uint16_t>(s.cpu().value());
    std::uint32_t repaid = 0;
    for (unsigned i = 0; i < h.to_return_count; ++i) {
        const Place place = s.view.frames->at(h.to_return[i]).solid;
        const bool in_reserve = place.kind == PlaceKind::reserve && place.owner == here;
        repaid += in_reserve ? 1 : 0;
        if (!well_returned(s, h, place)) {
            s.judge.report(
                Inv::inv14, {t}, fmt::format("frame {}", h.to_return[i]),
                fmt::format("EXIT of {} on {} is done, but frame {}, which was mapped when it began, is in "
                            "{}.",
                            s.name(t), s.cpu(), h.to_return[i], place_text(s.view, place)));
        }
    }
    if (s.policies.refill == abi::Refill::borrower && repaid != h.visit.lent_at_exit) {
        s.judge.report(
            Inv::inv14, {t}, fmt::format("reserve of {}", s.cpu()),
            fmt::format("EXIT of {} on {} put {} frames into the reserve; {} of its pages came from there.",
                        s.name(t), s.cpu(), repaid, h.visit.lent_at_exit));
    }
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    s.judge.examine(Inv::inv4);
    for (const Pfn pfn : s.view.frames->seen()) {
        check_places(s, pfn);
    }
    check_lost(s);
    if (s.history.turn().quiet) {
        for (const Pfn pfn : s.view.frames->seen()) {
            check_label(s, pfn);
        }
        check_free_list(s);
        check_kernel_frames(s);
        check_hands(s);
    }
    check_inv14(s);
}

}  // namespace stackrig::oracle::ledger
