// Sentences: operations of a program, steps of a schedule, places, predicates. Text -> checked model, and
// back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "guest/abi/program.hpp"
#include "vmm/engine/plan.hpp"
#include "vmm/scenario/diagnostic.hpp"
#include "vmm/scenario/names.hpp"
#include "vmm/scenario/predicate.hpp"

namespace stackrig::scenario {

inline constexpr std::uint64_t deepest =
    15 * 1024;  ///< bytes of stack a call or handler may ask for: 16K less frames
inline constexpr std::uint32_t most_objects = 16;  ///< mutexes, and event queues, of the guest
inline constexpr std::uint32_t most_hogged = 32;   ///< frames one thread can hog (abi::Thread::hogged)

/// Decimal or 0x number; nothing on overflow.
[[nodiscard]] std::optional<std::uint64_t> read_number(std::string_view text);
/// 512, 6K, 1M: bytes.
[[nodiscard]] std::optional<std::uint64_t> read_size(std::string_view text);

/// Each reports everything wrong with its sentence and returns nothing if there was anything.
[[nodiscard]] std::optional<abi::Op> read_operation(const Piece& piece, abi::ThreadKind kind,
                                                    const Names& names, Reporter& reporter);
/// `expect` steps append their predicate to `expects` and refer to it by index.
[[nodiscard]] std::optional<engine::Step> read_step(const Piece& piece, const Names& names,
                                                    std::vector<CheckedPredicate>& expects,
                                                    Reporter& reporter);
[[nodiscard]] std::optional<engine::Decision> read_decision(const Piece& piece, const Names& names,
                                                            Reporter& reporter);
[[nodiscard]] std::optional<CheckedPredicate> read_predicate(const Piece& piece, const Names& names,
                                                             Reporter& reporter);

/// A place as given on a command line: all of them, `step N` and `end` included. Diagnostics name `origin`.
[[nodiscard]] tl::expected<engine::Place, Diagnostics> parse_place(std::string_view text, const Names& names,
                                                                   std::string_view origin = "place");

/// The canonical spelling: reading it back gives the same model.
[[nodiscard]] std::string render(const abi::Op& op, abi::ThreadKind kind, const Names& names);
[[nodiscard]] std::string render(const engine::Place& place, const Names& names);
[[nodiscard]] std::string render(const engine::Event& event, const Names& names);
[[nodiscard]] std::string render(const engine::Step& step, const Names& names,
                                 const std::vector<CheckedPredicate>& expects);
[[nodiscard]] std::string render(const engine::Decision& decision, const Names& names);
[[nodiscard]] std::string render(const Fact& fact, const Names& names);
[[nodiscard]] std::string render(const Predicate& predicate, const Names& names);

}  // namespace stackrig::scenario
