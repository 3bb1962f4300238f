// Runs with decisions, from boot in a fresh VM: replaying them, and leaving out what is not needed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/explore/single.hpp"
#include "vmm/explore/verdict.hpp"

namespace stackrig::explore {

/// One stop of a run: what it was and where, and every register that the trace hash sees.
struct TraceLine {
    std::string stop;
    std::string registers;
};

/// One run of the scenario with its decisions.
struct Replayed {
    Showing shown;
    std::uint64_t stops = 0;
    std::uint64_t trace_hash = 0;
    std::vector<std::string> not_reached;  ///< decisions whose place never came: the run says nothing about them
    std::vector<TraceLine> trace;          ///< one for each stop, when asked for
};
/// What Replayed::trace is to hold. With ticks: also the TSC of the machine that this runs on, at each stop; KVM's guest has
/// the same but for a constant. They are the same each time only where time is the count of instructions.
enum class Tracing { none, stops, stops_and_ticks };
[[nodiscard]] Result<Replayed> replay(const Bench& bench, const scenario::Scenario& scenario, Tracing tracing = Tracing::none);

/// Leaves out decisions as long as the run shows the same verdict, invariant and object class (Zeller's ddmin): the result is
/// 1-minimal, no single one of its decisions can be left out.
struct Shrunk {
    std::vector<engine::Decision> decisions;
    Replayed shown;           ///< the run with these
    std::uint64_t runs = 0;   ///< it took
};
/// Error: usage, when the scenario's own decisions show no failure.
[[nodiscard]] Result<Shrunk> shrink(const Bench& bench, const scenario::Scenario& scenario);

/// The subset search by itself: `fails` says whether a set of elements, given by their indices, still fails; {0..count-1} does.
template <class Fails>
[[nodiscard]] Result<std::vector<std::size_t>> minimal_subset(std::size_t count, Fails&& fails) {
    std::vector<std::size_t> kept(count);
    for (std::size_t i = 0; i < count; ++i) {
        kept[i] = i;
    }
    for (std::size_t pieces = 2; !kept.empty();) {
        bool smaller = false;
        for (std::size_t piece = 0; piece < pieces && !smaller; ++piece) {
            const std::size_t from = kept.size() * piece / pieces;
            const std::size_t to = kept.size() * (piece + 1) / pieces;
            std::vector<std::size_t> rest(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(from));
            rest.insert(rest.end(), kept.begin() + static_cast<std::ptrdiff_t>(to), kept.end());
            if (from == to) {
                continue;
            }
            STACKRIG_TRY_ASSIGN(smaller, fails(rest));
            if (smaller) {
                kept = std::move(rest);
            }
        }
        if (smaller) {
            pieces = std::max<std::size_t>(pieces - 1, 2);
        } else if (pieces >= kept.size()) {
            break;
        } else {
            pieces = std::min(pieces * 2, kept.size());
        }
    }
    return kept;
}

}  // namespace stackrig::explore
