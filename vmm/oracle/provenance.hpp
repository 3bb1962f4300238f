// Where frames came from: their last places, and what each thread holds of a reserve. Seen, not believed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/oracle/ids.hpp"
#include "vmm/oracle/view.hpp"

namespace stackrig::oracle {

/// A place for each frame. Copies share their contents until one of them changes: a snapshot of it costs next to nothing.
class PlaceTable {
  public:
    [[nodiscard]] Place at(Pfn pfn) const { return pfn.value() < size() ? (*places_)[pfn.value()] : Place{}; }
    [[nodiscard]] std::size_t size() const { return places_ ? places_->size() : 0; }
    void grow(std::size_t frames);
    void set(Pfn pfn, Place place);
    bool operator==(const PlaceTable& other) const {
        return places_ == other.places_ || (places_ && other.places_ && *places_ == *other.places_);
    }

  private:
    std::vector<Place>& own();
    std::shared_ptr<std::vector<Place>> places_;
};

class Provenance {
  public:
    /// Finds the loans of this stop, before any check.
    void observe(const View& view);
    /// Remembers where frames are, after all checks of the stop. `reserve_pages`: the configured size.
    void settle(const View& view, std::uint32_t reserve_pages);

    /// Last solid place the frame was seen in before this stop.
    [[nodiscard]] Place settled(Pfn pfn) const { return settled_.at(pfn); }
    /// Last cache, reserve or free list it came from before this stop; `none` for a page given at birth.
    [[nodiscard]] Place origin(Pfn pfn) const { return origin_.at(pfn); }
    /// How many of P1..P3 of `t` came from the reserve of `cpu` and have not been made good.
    [[nodiscard]] std::uint32_t lent(ThreadId t, CpuId cpu) const;
    /// Threads that hold pages of the reserve of `cpu`.
    [[nodiscard]] std::vector<ThreadId> holders(CpuId cpu) const;

    /// Whether both would say the same from here on (loans are found anew at each stop).
    bool operator==(const Provenance& other) const { return settled_ == other.settled_ && origin_ == other.origin_; }

  private:
    struct Loan {
        ThreadId thread;
        CpuId cpu;
        std::uint32_t pages;
    };
    std::vector<Loan> loans_;  ///< of this stop, by thread
    std::uint64_t free_fingerprint_ = 0;  ///< of the free list that settled_ and origin_ know
    PlaceTable settled_;
    PlaceTable origin_;
};

}  // namespace stackrig::oracle
