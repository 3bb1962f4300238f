// What a soak has run so far, kept in a file: a million runs need not be made in one go.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "vmm/base/result.hpp"

namespace stackrig::cli {

class SoakTally {
  public:
    struct Counts {
        std::uint64_t runs = 0;
        std::uint64_t alarms = 0;
        std::uint64_t predicates = 0;
        std::uint64_t stops = 0;
        void add(const Counts& other);
    };

    /// What `file` says; it may not exist yet. An error when it is of another seed, or of more or fewer scenarios. Empty: nothing is kept.
    static Result<SoakTally> open(const std::string& file, std::uint64_t seed, std::uint64_t scenarios);

    [[nodiscard]] bool kept() const { return !file_.empty(); }
    [[nodiscard]] std::uint64_t next_round() const { return next_; }
    [[nodiscard]] const Counts& total() const { return total_; }

    /// One scenario's visit in `round` is over. A round counts, and is written, once it and all before it are whole.
    Result<void> note(std::uint64_t round, const Counts& counts);

  private:
    struct Round {
        std::uint64_t visits = 0;
        Counts counts;
    };
    [[nodiscard]] Result<void> write() const;

    std::string file_;
    std::uint64_t seed_ = 0;
    std::uint64_t scenarios_ = 0;  ///< visits that make a round whole
    std::uint64_t next_ = 0;
    Counts total_;
    std::map<std::uint64_t, Round> begun_;
};

}  // namespace stackrig::cli
