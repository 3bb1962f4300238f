// Random placements of a sweep: any boundary, any event, often a second one later. A stream of them is repeatable by its seed.
#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "vmm/explore/shuffle.hpp"
#include "vmm/explore/sweep.hpp"
#include "vmm/scenario/scenario.hpp"
#include "vmm/scenario/sentence.hpp"

namespace stackrig::explore {
namespace {

// A second machine check while the first is handled is a shutdown, and #DB and #BP have no business in their own handlers.
constexpr std::array<std::string_view, 7> first_words{"nmi", "mc", "db", "bp", "irq", "device", "tick"};
constexpr std::array<std::string_view, 4> second_words{"nmi", "irq", "device", "tick"};
constexpr std::uint64_t most_stops_between = 24;

class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    /// 0 .. below - 1.
    std::uint64_t operator()(std::uint64_t below) {
        return shuffled(state_ += 0x9e3779b97f4a7c15) % below;
    }

  private:
    std::uint64_t state_;
};

template <std::size_t N>
engine::Event any_of(const std::array<std::string_view, N>& words, Random& random) {
    return *scenario::sweep_event(words[random(N)]);
}

}  // namespace

std::vector<Sweep::Drawn> Sweep::draw(std::uint64_t seed, std::uint64_t runs) const {
    Random random(seed);
    std::vector<Drawn> drawn;
    while (drawn.size() < runs) {
        Drawn one{.boundary = random(boundaries()), .first = any_of(first_words, random), .second = {}};
        if (random(2) != 0) {
            one.second = Second{any_of(second_words, random), random(most_stops_between)};
        }
        if (!not_applicable(standing_at(trunk_->boundaries()[one.boundary]), one.first)) {
            drawn.push_back(std::move(one));
        }
    }
    return drawn;
}

/// In the order of the boundaries: to go back to one nearby changes fewer pages, and seldom page tables, after which a host with shadow
/// paging has every translation to find anew.
Result<SweepResult> Sweep::sample(std::uint64_t seed, std::uint64_t runs) {
    std::vector<Drawn> drawn = draw(seed, runs);
    std::stable_sort(drawn.begin(), drawn.end(), [](const Drawn& a, const Drawn& b) { return a.boundary < b.boundary; });
    SweepResult result{.boundaries = boundaries(), .trunk_seconds = trunk_seconds_};
    for (const Drawn& one : drawn) {
        const Placement placement{&trunk_->boundaries()[one.boundary], &one.first, one.first.text};
        STACKRIG_TRY(place(one.boundary, std::span(&placement, 1), one.second, result.coverage["anywhere"][one.first.text], result));
    }
    return result;
}

/// One boundary of the second event's search for a place: true when it needs no more.
Result<bool> Sweep::placed(Second& second) {
    engine::Session& session = trunk_->session();
    if (second.stops_before > 0) {
        --second.stops_before;
        return false;
    }
    if (session.state().booting) {
        return true;
    }
    const CpuId cpu = session.state().active;
    STACKRIG_TRY_ASSIGN(const machine::CpuSnapshot state, machine::capture(session.machine().vcpu(cpu)));
    const auto refused = not_applicable({state, cpu, trunk_->bench().guest.symbol_at(Gva(state.regs.rip))}, second.event);
    if (!refused) {
        STACKRIG_TRY(session.inject_here(second.event));
    }
    return !refused || ++second.refusals == most_stops_between;
}

}  // namespace stackrig::explore
