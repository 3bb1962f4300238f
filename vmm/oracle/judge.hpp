// What checks report to: violations, and how often each check found something to examine.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/types.hpp"
#include "vmm/oracle/catalogue.hpp"
#include "vmm/oracle/ids.hpp"

namespace stackrig::oracle {

/// One broken invariant, the first time it was seen broken for these objects.
struct Violation {
    Inv inv = Inv::count;
    std::string_view id;  ///< "INV-19"
    CpuId cpu;            ///< CPU that stopped
    std::vector<ThreadId> threads;
    std::string object;      ///< "P2 of B", "frame 0x3a1", "reserve of cpu0"
    std::string text;        ///< what was seen, full sentences
    std::uint64_t stop = 0;  ///< Stop::index
    std::size_t step = 0;    ///< Stop::step
};

/// How often an invariant was looked at.
struct ExaminedCount {
    std::uint64_t evaluated = 0;   ///< stops at which the check ran
    std::uint64_t applicable = 0;  ///< stops at which it had at least one object to examine
};

class Judge {
  public:
    /// `expected`: id of the violation the scenario is about; what only leads to it is kept as a note.
    Judge(abi::Scheme scheme, std::string_view expected);

    void begin_stop(std::uint64_t index, std::size_t step, CpuId cpu);
    /// The checks of this stop have all run: it counts.
    void end_stop();

    /// Whether `inv` applies under this scheme.
    [[nodiscard]] bool applies(Inv inv) const { return active_[static_cast<std::size_t>(inv)]; }
    /// Counts this stop as one at which `inv` had something to examine; false when it does not apply at all.
    bool examine(Inv inv) {
        const auto at = static_cast<std::size_t>(inv);
        if (active_[at] && last_look_[at] != looks_) {
            last_look_[at] = looks_;
            examined_.push_back(at);
        }
        return active_[at];
    }
    /// Reports a violation. The same one (same objects) is reported once in a run.
    [[gnu::cold]] void report(Inv inv, std::vector<ThreadId> threads, std::string object, std::string text);

    /// Violations of this stop.
    [[nodiscard]] std::span<const Violation> violations() const { return violations_; }
    /// Everything that was noticed but does not decide the run: notes, and steps towards the expected
    /// violation.
    [[nodiscard]] std::span<const Violation> notes() const { return notes_; }
    [[nodiscard]] ExaminedCount examined(Inv inv) const {
        return {applies(inv) ? stops_ : 0, applicable_[static_cast<std::size_t>(inv)]};
    }

    /// What has been reported, so that it is not reported again. The counts go on over everything that was ever judged.
    struct Known {
        Inv inv;
        std::string object;
        std::vector<ThreadId> threads;
        bool operator==(const Known&) const = default;
    };
    struct Memory {
        std::vector<Known> known;
        std::vector<Violation> notes;
    };
    [[nodiscard]] Memory remembered() const { return {known_, notes_}; }
    /// Whether exactly the same has been reported.
    [[nodiscard]] bool knows(const Memory& memory) const { return known_ == memory.known; }
    void remember(const Memory& memory) {
        known_ = memory.known;
        notes_ = memory.notes;
    }

  private:
    [[nodiscard]] bool decides(const Invariant& invariant) const;

    std::string expected_;
    std::array<bool, inv_count> active_ = {};
    std::uint64_t looks_ = 0;                              // stops begun
    std::uint64_t stops_ = 0;                              // stops that count
    std::array<std::uint64_t, inv_count> last_look_ = {};  // at which it had something to examine
    std::vector<std::size_t> examined_;                    // at this stop
    std::array<std::uint64_t, inv_count> applicable_ = {};
    std::vector<Violation> violations_;
    std::vector<Violation> notes_;
    std::vector<Known> known_;
    std::uint64_t index_ = 0;
    std::size_t step_ = 0;
    CpuId cpu_;
};

}  // namespace stackrig::oracle
