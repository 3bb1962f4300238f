// The hazards of dynamic kernel stacks, by the ids that scenarios name.
#pragma once

#include <span>
#include <string_view>

namespace stackrig::oracle {

struct Hazard {
    std::string_view id;     ///< "HZ-B3"
    std::string_view title;  ///< what may go wrong, in a few words
    /// Why no scenario can be about it, or what there is instead of one; empty: one can.
    std::string_view outside;
};

/// HZ-A: entry and exit windows; B: pages, cache, reserve, waiting; C: TLB; D: scheduler; E: life cycle; F: remote access and
/// debugging; G: accounting and economics.
[[nodiscard]] std::span<const Hazard> hazards();

}  // namespace stackrig::oracle
