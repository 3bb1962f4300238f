// The invariants as data: what each says, which sentence it comes from, where it applies, how it is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "guest/abi/boot_params.hpp"

namespace stackrig::oracle {

/// Every check of the oracle. The order is the order of reports.
enum class Inv : std::uint8_t {
    inv1,
    inv2,
    inv3,
    inv4,
    inv5,
    inv6,
    inv7,
    inv8,
    inv9,
    inv10,
    inv11,
    inv12,
    inv13,
    inv14,
    inv15,
    inv16,
    inv17,
    inv18,
    inv19,
    inv20,
    inv21,
    inv22,
    inv23,
    inv24,
    inv25,
    inv26,
    inv27,
    inv28,
    inv29,
    inv30,
    inv31,
    live1,
    live2,
    live3,
    live4,
    live5,
    live6,
    live7,
    live8,
    class1,
    class2,
    asm1,
    i4,
    i5,
    i11,
    i12,
    i13,
    i14,
    i16,
    i17,
    i18,
    ptr,
    warn,
    count
};
inline constexpr std::size_t inv_count = static_cast<std::size_t>(Inv::count);

/// What stands behind a check.
enum class Basis : std::uint8_t {
    claim,    ///< words of the mail, or of the proposal it answers
    derived,  ///< not said, but without it a claim cannot hold
    rig,      ///< what any kernel must keep: bookkeeping, no panic, no double fault
    note      ///< worth telling, ends no run unless the scenario expects it
};

inline constexpr unsigned under_fixed = 1;       ///< applies under Scheme::fixed
inline constexpr unsigned under_entry_exit = 2;  ///< applies under Scheme::entry_exit

struct Invariant {
    Inv inv;
    std::string_view id;         ///< "INV-19"
    std::string_view title;      ///< a few words for tables
    std::string_view sentence;   ///< verbatim from the mail; empty when it says nothing
    std::string_view said_in;    ///< where the sentence stands; empty without one
    std::string_view statement;  ///< plain words: what must hold
    std::string_view how;        ///< what is looked at, and when
    std::string_view file;       ///< source file of the check
    Basis basis;
    unsigned schemes;
    /// When a scenario expects a violation of this id, this check breaking first is a step on the way, not
    /// the verdict.
    std::string_view leads_to = {};
};

/// A property that is not checked under its own id: because another id covers it, or because the rig cannot see it.
struct Elsewhere {
    std::string_view id;
    std::string_view title;
    std::string_view covered_by;  ///< ids, as text; empty when nothing checks it
    std::string_view reason;      ///< why not; empty when it is covered
};
[[nodiscard]] std::span<const Elsewhere> checked_elsewhere();

/// All invariants, in the order of Inv.
[[nodiscard]] std::span<const Invariant> catalogue();
[[nodiscard]] const Invariant& invariant(Inv inv);
/// By id, case-insensitively ("inv-19"); nothing when there is none.
[[nodiscard]] std::optional<Inv> find_invariant(std::string_view id);
[[nodiscard]] bool applies(const Invariant& invariant, abi::Scheme scheme);

/// The text behind `explain ID`: statement, sentence with its date, how it is checked, file. At most 72
/// columns. Nothing for an unknown id.
[[nodiscard]] std::optional<std::string> explain(std::string_view id);

/// A patch under tests/self/bugs: its name, and the id that its header says must fire.
struct SeededBug {
    std::string name;
    std::string invariant;
};
/// All invariants as a Markdown document, for docs/invariants.md.
[[nodiscard]] std::string catalogue_markdown(std::span<const SeededBug> bugs);

}  // namespace stackrig::oracle
