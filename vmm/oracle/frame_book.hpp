// Where each frame was seen at one stop: the raw material of the ledger.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/types.hpp"
#include "vmm/oracle/ids.hpp"

namespace stackrig::oracle {

/// What was seen of one frame at one stop.
struct FrameSeen {
    Place solid;              ///< the first solid place, `none` when there is none
    Place second;             ///< another solid place: a violation by itself
    Place hands;              ///< kind `hands` while a hook holds it
    std::uint8_t solids = 0;  ///< how many solid places
    std::uint8_t in_hands = 0;
};

/// One stop's sightings. Buffers live on between stops; starting a new stop costs nothing.
class FrameBook {
  public:
    /// Forgets the last stop. `frame_count`: frames of RAM; larger numbers are refused by put().
    void begin(std::uint32_t frame_count);
    /// Notes that `pfn` was seen in `place`; false when there is no such frame (0 is never handed out).
    bool put(Pfn pfn, Place place);

    [[nodiscard]] FrameSeen at(Pfn pfn) const;
    /// Frames seen anywhere but (only) on the free list, in the order they were met, without repetition.
    [[nodiscard]] std::span<const Pfn> seen() const { return seen_; }
    [[nodiscard]] std::uint32_t frame_count() const { return frame_count_; }

    /// Replaces the frames known to be on the free list.
    void set_free(std::span<const Pfn> free);
    [[nodiscard]] bool is_free(Pfn pfn) const {
        return pfn.value() < free_.size() && free_[pfn.value()] != 0;
    }

  private:
    struct Entry {
        std::uint64_t epoch = 0;
        FrameSeen seen;
    };
    std::vector<Entry> entries_;
    std::vector<std::uint8_t> free_;
    std::vector<Pfn> seen_;
    std::uint64_t epoch_ = 0;
    std::uint32_t frame_count_ = 0;
};

}  // namespace stackrig::oracle
