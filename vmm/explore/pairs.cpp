// Ordered pairs: a second placement at every boundary behind a first one, until the run without events is rejoined.
#include <array>
#include <fmt/format.h>

#include <set>

#include "vmm/explore/sweep.hpp"
#include "vmm/x86/descriptors.hpp"

namespace stackrig::explore {
namespace {

// Sound: the pair adds nothing to what the single placements show.
constexpr const char* by_rejoining = "sound: behind the point where the run without events is rejoined, a second is a single";
constexpr const char* by_finding = "sound: the first alone is a finding";
constexpr const char* by_likeness = "NOT sound (fast): thread, function, IF, NMI mask and mapped pages were like this before";

}  // namespace

std::string situation(const Boundary& boundary) {
    const machine::CpuSnapshot& cpu = boundary.moment.machine.cpu(boundary.cpu);
    return fmt::format("{} {} {} {} {} {} {}", boundary.cpu, boundary.thread, boundary.function, boundary.user_mode,
                       (cpu.regs.rflags & x86::rflags::interrupt) != 0, cpu.events.nmi.masked, boundary.mapped);
}

void Sweep::prepare_pairs() {
    if (plan_.pairs == engine::Pairs::none) {
        return;
    }
    const std::deque<Boundary>& all = trunk_->boundaries();
    std::set<std::string> known;
    for (const Boundary& boundary : all) {
        alike_.push_back(!known.insert(situation(boundary)).second);
    }
    singles_from_.resize(all.size() + 1);
    SweepResult nowhere;
    for (std::size_t i = all.size(); i-- > 0;) {
        const Boundary* const next = i + 1 < all.size() ? &all[i + 1] : nullptr;
        singles_from_[i] = singles_from_[i + 1] + placements(all[i], next, "", nowhere).size();
    }
}

Result<void> Sweep::seconds(std::size_t index, const Placement& first, Showing::How how, SweepResult& result) {
    const std::string after = first.word + ", then ";
    auto& pruned = cells_at(trunk_->boundaries()[index], result)[after + "any"].pruned;
    result.map.note(index, after + "any", Fate::pruned);  // until one is placed
    if (how == Showing::How::failed) {
        ++pruned[by_finding];
        return {};
    }
    if (how == Showing::How::late) {
        return {};  // counted as skipped by the host already
    }
    if (plan_.pairs == engine::Pairs::fast && alike_[index]) {
        ++pruned[by_likeness];
        return {};
    }
    STACKRIG_TRY_ASSIGN(const Way way, walk_on(index, first));
    if (way.rejoined) {
        pruned[by_rejoining] += singles_from_[*way.rejoined];
    }
    for (std::size_t i = 0; i < way.boundaries.size(); ++i) {
        const Boundary& here = way.boundaries[i];
        const Boundary* const next = i + 1 < way.boundaries.size() ? &way.boundaries[i + 1] : nullptr;
        for (const Placement& second : placements(here, next, after, result)) {
            Cell& cell = cells_at(here, result)[second.word];
            const std::array both{first, second};
            STACKRIG_TRY(place(index, both, std::nullopt, cell, result));
        }
    }
    return {};
}

Result<Sweep::Way> Sweep::walk_on(std::size_t index, const Placement& first) {
    const std::deque<Boundary>& trunk = trunk_->boundaries();
    if (visited_ > index + 1) {
        visits_ = Visits(trunk_->scenario().plan.guest.cpus);
        visited_ = 0;
    }
    for (; visited_ <= index; ++visited_) {
        (void)visits_.note(trunk[visited_].thread, trunk[visited_].rip);
    }
    Visits visits = visits_;
    STACKRIG_TRY(restore(trunk[index]));
    STACKRIG_TRY(apply(first));
    engine::Session& session = trunk_->session();
    // A failing allocation is decided where it is asked for: there the run still stands on the trunk.
    bool on_trunk = std::holds_alternative<engine::FailAllocation>(first.what);
    Way way;
    std::uint64_t stops = ~std::uint64_t{0};
    for (;;) {
        STACKRIG_TRY_ASSIGN(const bool ready, session.poise());
        if (!ready) {
            break;
        }
        const bool after_stop = session.state().outcome.stops != stops;
        if (after_stop && !way.boundaries.empty()) {
            STACKRIG_TRY_ASSIGN(way.rejoined, trunk_->rejoined());
            if (way.rejoined) {
                break;
            }
        }
        stops = session.state().outcome.stops;
        if (!on_trunk) {
            STACKRIG_TRY_ASSIGN(Boundary here, trunk_->here(after_stop));
            here.occurrence = visits.note(here.thread, here.rip);
            way.boundaries.push_back(std::move(here));
        }
        on_trunk = false;
        STACKRIG_TRY(session.step());
    }
    session.stop_stepping();
    return way;
}

}  // namespace stackrig::explore
