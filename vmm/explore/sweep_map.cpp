// Letters at boundaries.
#include "vmm/explore/sweep_map.hpp"

#include <algorithm>
#include <utility>

namespace stackrig::explore {
namespace {

std::size_t badness(char letter) {
    const std::vector<Fate>& all = all_fates();
    return static_cast<std::size_t>(std::find(all.begin(), all.end(), static_cast<Fate>(letter)) - all.begin());
}

}  // namespace

const std::vector<Fate>& all_fates() {
    static const std::vector<Fate> all{Fate::outside,      Fate::not_applicable, Fate::pruned,     Fate::rejoined, Fate::executed,
                                       Fate::off_schedule, Fate::host_skipped,   Fate::incomplete, Fate::failed};
    return all;
}

const char* words_for(Fate fate) {
    switch (fate) {
        case Fate::outside: return "nothing to place";
        case Fate::not_applicable: return "not applicable";
        case Fate::pruned: return "pruned";
        case Fate::rejoined: return "executed, rejoined the run without events";
        case Fate::executed: return "executed to its end";
        case Fate::off_schedule: return "executed, cut off: the schedule could not go on";
        case Fate::host_skipped: return "skipped by the host";
        case Fate::incomplete: return "out of budget";
        case Fate::failed: return "a finding";
    }
    return "?";
}

void SweepMap::note(std::uint64_t boundary, const std::string& row, Fate fate) {
    if (boundary < first_ || boundary - first_ >= places_.size()) {
        return;
    }
    std::string& letters = rows_[row];
    const std::size_t at = boundary - first_;
    letters.resize(std::max(letters.size(), at + 1), static_cast<char>(Fate::outside));
    if (badness(static_cast<char>(fate)) > badness(letters[at])) {
        letters[at] = static_cast<char>(fate);
    }
}

void SweepMap::add(const SweepMap& other) {
    const std::size_t from = other.first_ - first_;
    places_.resize(std::max(places_.size(), from + other.places_.size()));
    std::copy(other.places_.begin(), other.places_.end(), places_.begin() + static_cast<std::ptrdiff_t>(from));
    for (const auto& [row, letters] : other.rows_) {
        for (std::size_t i = 0; i < letters.size(); ++i) {
            if (letters[i] != static_cast<char>(Fate::outside)) {
                note(other.first_ + i, row, static_cast<Fate>(letters[i]));
            }
        }
    }
}

void SweepMap::set(std::vector<std::string> places, std::map<std::string, std::string> rows) {
    places_ = std::move(places);
    rows_ = std::move(rows);
}

}  // namespace stackrig::explore
