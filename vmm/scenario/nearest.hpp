// "Did you mean": the nearest known name by edit distance.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace stackrig::scenario {

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`; letter case is free.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The only name that begins with `word`; else the nearest one, if it is near enough to be what was meant (a third of its length).
[[nodiscard]] std::optional<std::string> nearest(std::string_view word, std::span<const std::string> names);

/// `did you mean "x"?`, or the list of names when none is near and they are few but several, or nothing.
[[nodiscard]] std::string suggestion(std::string_view word, std::span<const std::string> names);

/// The same for numbered ids such as INV-19: another number is never "near". Else `range`, a hint that says
/// what there is.
[[nodiscard]] std::string id_suggestion(std::string_view id, std::span<const std::string> known,
                                        std::string_view range);

}  // namespace stackrig::scenario
