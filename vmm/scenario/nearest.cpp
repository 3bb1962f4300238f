// Damerau-Levenshtein distance (optimal string alignment) and the wording of suggestions.
#include "vmm/scenario/nearest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <iterator>
#include <vector>

namespace stackrig::scenario {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

constexpr std::size_t longest_list = 20;   ///< names; more would bury the message
constexpr std::size_t longest_word = 100;  ///< bytes; more is no misspelt name
constexpr std::size_t shortest_beginning = 3;

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) {
        last[j] = j;
    }
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replace = lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1;
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + replace});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
                row[j] = std::min(row[j], before[j - 2] + 1);
            }
        }
        std::swap(before, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> names) {
    if (word.empty() || word.size() > longest_word) {
        return std::nullopt;
    }
    // A beginning that only one name has is that name cut short.
    const auto goes_on = [word](const std::string& name) { return word.size() >= shortest_beginning && name.starts_with(word); };
    if (const auto whole = std::find_if(names.begin(), names.end(), goes_on); whole != names.end() && std::none_of(whole + 1, names.end(), goes_on)) {
        return *whole;
    }
    const std::string* best = nullptr;
    std::size_t best_distance = std::max<std::size_t>(word.size(), 3) / 3 + 1;
    for (const std::string& name : names) {
        const std::size_t gap =
            name.size() > word.size() ? name.size() - word.size() : word.size() - name.size();
        if (gap >= best_distance) {
            continue;
        }
        // A name that shares no letter with a very short word is not what was meant.
        const std::size_t distance = edit_distance(word, name);
        if (distance < best_distance && distance < std::max(word.size(), name.size())) {
            best = &name;
            best_distance = distance;
        }
    }
    return best == nullptr ? std::nullopt : std::optional(*best);
}

std::string suggestion(std::string_view word, std::span<const std::string> names) {
    if (const auto name = nearest(word, names)) {
        return fmt::format("did you mean \"{}\"?", *name);
    }
    return names.size() < 2 || names.size() > longest_list
               ? ""
               : fmt::format("one of: {}", fmt::join(names, ", "));
}

std::string id_suggestion(std::string_view id, std::span<const std::string> known, std::string_view range) {
    const auto digits = [](std::string_view text) {
        std::string out;
        std::copy_if(text.begin(), text.end(), std::back_inserter(out),
                     [](char c) { return c >= '0' && c <= '9'; });
        return out;
    };
    std::vector<std::string> same_number;
    std::copy_if(known.begin(), known.end(), std::back_inserter(same_number),
                 [&](const std::string& k) { return digits(k) == digits(id); });
    if (const auto meant = nearest(id, same_number)) {
        return fmt::format("did you mean \"{}\"?", *meant);
    }
    return std::string(range);
}

}  // namespace stackrig::scenario
