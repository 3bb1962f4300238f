// The checked model of a scenario file, and the way to get one. Everything that can be known before a run is
// checked.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "vmm/engine/plan.hpp"
#include "vmm/oracle/tlb.hpp"
#include "vmm/scenario/diagnostic.hpp"
#include "vmm/scenario/names.hpp"
#include "vmm/scenario/predicate.hpp"
#include "vmm/scenario/reading.hpp"

namespace stackrig::scenario {

/// How the run must end. With a violation: the run stops when it fires; the ids in `also` must have fired
/// before it; any other id is a failure. Without: nothing fires.
struct Expectation {
    std::string violation;  ///< an id; empty: pass
    std::vector<std::string> also;
    [[nodiscard]] bool pass() const { return violation.empty(); }
};

/// What a counterexample remembers of the run that it was made from.
struct Recorded {
    std::uint64_t guest = 0;  ///< Elf::build_hash() of the guest
    std::uint64_t trace = 0;  ///< its trace hash
};

/// One run. A file holds one, and one more for each of its variants.
struct Scenario {
    /// "name", or "name[variant]".
    [[nodiscard]] std::string title() const { return variant.empty() ? name : name + "[" + variant + "]"; }

    std::string file;
    std::string name;
    std::string variant;  ///< of [variants.NAME]; empty for the file's own run
    std::string why;
    std::vector<std::string> claims;   ///< C1..C8
    std::vector<std::string> hazards;  ///< HZ-*
    std::vector<std::string>
        capabilities;  ///< key `requires`: what the host must be able to do, "inject.irq"
    Expectation expect;
    Reading reading = Reading::mail;
    oracle::Fill tlb = oracle::Fill::arch;  ///< what the TLB model takes CPUs to cache
    engine::RunPlan plan;
    std::optional<engine::SweepPlan> sweep;   ///< [explore]: the scenario is not one run but many
    std::optional<Recorded> recorded;         ///< [replay]: how a run of it went
    std::vector<CheckedPredicate> always;     ///< true at every stop
    std::vector<CheckedPredicate> sometimes;  ///< true at one stop at least: else VACUOUS
    std::vector<CheckedPredicate> finally;    ///< true at the end
    std::vector<CheckedPredicate> expects;    ///< of `expect` steps; engine::Expect::index
    std::vector<Span> thread_places;          ///< parallel to plan.threads: the thread's name
    std::vector<Span> step_places;            ///< parallel to plan.schedule: the sentence
};

/// The file's own run first, then its variants in order.
using Checked = tl::expected<std::vector<Scenario>, Diagnostics>;

/// Checks a file's text against the guest's symbols. Reports every problem at once. `file` is only a name
/// here.
[[nodiscard]] Checked check(std::string_view text, std::string file, const SymbolSource& symbols);

/// The words of `events` in a sweep, and the event that each stands for ("alloc" is none).
[[nodiscard]] const std::vector<std::string>& sweep_words();
[[nodiscard]] std::optional<engine::Event> sweep_event(std::string_view word);

/// The words of `pairs` in a sweep: none, all, fast.
[[nodiscard]] const std::vector<std::string>& pairs_words();
[[nodiscard]] std::string word_for(engine::Pairs pairs);
[[nodiscard]] std::optional<engine::Pairs> pairs_from(std::string_view word);

/// Names for the places of a loaded scenario, for parse_place(). `symbols` must outlive them.
[[nodiscard]] Names names_of(const Scenario& scenario, const SymbolSource& symbols);

}  // namespace stackrig::scenario
