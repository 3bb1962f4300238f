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
    [[nodiscard]] std::uint64_t next_visit() const { return next_; }
    [[nodiscard]] const Counts& total() const { return total_; }

    /// A visit is over: one of a scenario in a round, numbered through all rounds. It counts, and is written, once all before it are over.
    Result<void> note(std::uint64_t visit, const Counts& counts);

  private:
    [[nodiscard]] Result<void> write() const;

    std::string file_;
    std::uint64_t seed_ = 0;
    std::uint64_t scenarios_ = 0;  ///< of a round
    std::uint64_t next_ = 0;
    Counts total_;
    std::map<std::uint64_t, Counts> ahead_;  ///< over before an earlier one
};

}  // namespace stackrig::cli
