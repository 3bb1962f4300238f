// What became of each placement of a sweep, boundary by boundary: a letter each, to draw and to look up.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace stackrig::explore {

/// From good to bad: where several placements share a letter, it is the last of these that one of them met.
enum class Fate : char {
    outside = ' ',         ///< of the window, or the instruction does not ask for a page
    not_applicable = '-',
    pruned = 'p',
    rejoined = 'r',        ///< executed; came back to where the run without events had stood
    executed = 'e',        ///< executed, and run to its end
    off_schedule = 'o',    ///< executed; ended early: a later step of the schedule could not be carried out
    host_skipped = 'h',
    incomplete = 'i',      ///< the budget of stops ran out
    failed = 'F',          ///< executed, and a finding
};
/// In words, for legends: "executed, rejoined the run without events".
[[nodiscard]] const char* words_for(Fate fate);
[[nodiscard]] const std::vector<Fate>& all_fates();

/// Rows are named as in the coverage ("nmi", "alloc"); what is put behind a first event has one row, "nmi, then any", and stands
/// at the boundary of the first.
class SweepMap {
  public:
    SweepMap() = default;
    /// The map begins at this boundary of the trunk.
    explicit SweepMap(std::uint64_t first) : first_(first) {}

    /// The next boundary. `place`: "A do_syscall_64+0x10 #2"; empty when it is outside of the window.
    void enter(std::string place) { places_.push_back(std::move(place)); }
    /// At a boundary that has been entered; elsewhere (random placements) nothing is kept.
    void note(std::uint64_t boundary, const std::string& row, Fate fate);
    /// Another part of the same trunk.
    void add(const SweepMap& other);

    [[nodiscard]] std::uint64_t first() const { return first_; }
    [[nodiscard]] const std::vector<std::string>& places() const { return places_; }
    /// A letter for each boundary up to the last one that has any; what is missing is outside.
    [[nodiscard]] const std::map<std::string, std::string>& rows() const { return rows_; }
    void set(std::vector<std::string> places, std::map<std::string, std::string> rows);

  private:
    std::uint64_t first_ = 0;
    std::vector<std::string> places_;
    std::map<std::string, std::string> rows_;
};

}  // namespace stackrig::explore
