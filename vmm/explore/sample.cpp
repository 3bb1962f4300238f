// Random placements of a sweep: any boundary, any event, often a second one later. A stream of them is repeatable by its seed.
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

Result<SweepResult> Sweep::sample(std::uint64_t seed, std::uint64_t runs) {
    Random random(seed);
    SweepResult result{.boundaries = boundaries(), .trunk_seconds = trunk_seconds_};
    while (result.runs < runs) {
        const std::size_t index = random(boundaries());
        const engine::Event event = any_of(first_words, random);
        std::optional<Second> second;
        if (random(2) != 0) {
            second = Second{any_of(second_words, random), random(most_stops_between)};
        }
        const Boundary& boundary = trunk_->boundaries()[index];
        if (!not_applicable(boundary, event)) {
            const Placement placement{&boundary, &event, event.text};
            STACKRIG_TRY(place(index, std::span(&placement, 1), second, result.coverage["anywhere"][event.text], result));
        }
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
    STACKRIG_TRY_ASSIGN(const Boundary here, trunk_->here(true));
    const auto refused = not_applicable(here, second.event);
    if (!refused) {
        STACKRIG_TRY(session.inject_here(second.event));
    }
    return !refused || ++second.refusals == most_stops_between;
}

}  // namespace stackrig::explore
