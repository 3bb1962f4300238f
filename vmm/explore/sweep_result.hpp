// What a sweep covered and what it found. Plain data: it can be added up, sent, and printed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vmm/explore/sweep_map.hpp"

namespace stackrig::explore {

/// Of one event kind in one function: what became of its placements. Only `executed` counts as covered.
struct Cell {
    std::uint64_t executed = 0;      ///< delivered exactly there and run to its end, or until it rejoined the trunk
    std::uint64_t rejoined = 0;      ///< of these, how many
    std::uint64_t off_schedule = 0;  ///< of these, how many ended early: a later step of the schedule could not be carried out
    std::uint64_t incomplete = 0;    ///< the budget of stops ran out
    std::uint64_t host_skipped = 0;  ///< the host did not deliver it exactly there
    std::map<std::string, std::uint64_t> not_applicable;  ///< by reason
    std::map<std::string, std::uint64_t> pruned;          ///< by rule

    void add(const Cell& other);
    [[nodiscard]] std::uint64_t placements() const;
};

/// By function of the guest, then by event ("nmi", "alloc").
using Coverage = std::map<std::string, std::map<std::string, Cell>>;
void add(Coverage& to, const Coverage& what);

/// One distinct failure: all placements with the same verdict, invariant and object class.
struct Finding {
    std::string verdict;                 ///< "violation", "panic", "broken", "stuck", "deadlock", "predicate"
    std::string id;                      ///< of the invariant; empty for none
    std::string object;                  ///< "P2 of B", "frame #": numbers of frames left out
    std::vector<std::string> also;       ///< ids that fired on the way to it, as the scenario's `also` allows
    std::string text;                    ///< what was seen the first time
    std::string where;                   ///< where the CPU was then
    std::string picture;
    std::vector<std::string> decisions;  ///< sentences for [run] decisions
    std::uint64_t trace_hash = 0;        ///< of the run that found it first
    std::uint64_t count = 0;             ///< placements that show it
    std::uint64_t boundary = 0;          ///< index of the first
    std::map<std::string, std::vector<std::uint64_t>> seen_at;  ///< by row of the map: boundaries, in order
    std::string file;                    ///< the counterexample, where one was written

    [[nodiscard]] std::string key() const { return verdict + "|" + id + "|" + object; }
};

struct SweepResult {
    std::uint64_t boundaries = 0;  ///< of the trunk
    std::uint64_t first = 0;       ///< those swept here: [first, first + count)
    std::uint64_t count = 0;
    std::uint64_t runs = 0;        ///< branches run
    std::uint64_t foreseen = 0;    ///< of them: the landing was shown before the guest was entered, and proved behind it
    std::uint64_t unproved = 0;    ///< of them: it was not proved, and the branch was run again
    std::uint64_t stops = 0;       ///< shown and judged, the trunk's not counted
    std::uint64_t allocations = 0; ///< of the trunk
    Coverage coverage;
    SweepMap map;
    std::vector<Finding> findings;
    std::string unmet;             ///< a `sometimes` of the scenario that was not true in any run, this part's and those before it
    bool all_met = false;          ///< there is none
    double trunk_seconds = 0;
    double seconds = 0;            ///< of the branches

    /// Takes in another part of the same sweep.
    void add(const SweepResult& other);
};

/// "frame 0x3a1" -> "frame #".
[[nodiscard]] std::string object_class(const std::string& object);

}  // namespace stackrig::explore
