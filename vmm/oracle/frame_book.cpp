// Sightings of frames, stamped with an epoch so that no stop has to clear the table.
#include "vmm/oracle/frame_book.hpp"

#include <algorithm>

namespace stackrig::oracle {

void FrameBook::begin(std::uint32_t frame_count) {
    ++epoch_;
    frame_count_ = frame_count;
    if (entries_.size() < frame_count) {
        entries_.resize(frame_count);
    }
    if (free_.size() < frame_count) {
        free_.resize(frame_count, 0);
    }
    seen_.clear();
}

void FrameBook::set_free(std::span<const Pfn> free) {
    std::fill(free_.begin(), free_.end(), std::uint8_t{0});
    for (const Pfn pfn : free) {
        free_[pfn.value()] = 1;
    }
}

bool FrameBook::put(Pfn pfn, Place place) {
    if (pfn.value() == 0 || pfn.value() >= frame_count_) {
        return false;
    }
    Entry& entry = entries_[pfn.value()];
    if (entry.epoch != epoch_) {
        entry = {epoch_, {}};
        seen_.push_back(pfn);
        if (is_free(pfn)) {
            entry.seen.solid = {.kind = PlaceKind::free_list};
            entry.seen.solids = 1;
        }
    }
    FrameSeen& seen = entry.seen;
    if (place.kind == PlaceKind::hands) {
        seen.hands = place;
        ++seen.in_hands;
        return true;
    }
    (seen.solids == 0 ? seen.solid : seen.second) = place;
    ++seen.solids;
    return true;
}

FrameSeen FrameBook::at(Pfn pfn) const {
    if (pfn.value() < frame_count_) {
        const Entry& entry = entries_[pfn.value()];
        if (entry.epoch == epoch_) {
            return entry.seen;
        }
        if (is_free(pfn)) {
            FrameSeen seen;
            seen.solid = {.kind = PlaceKind::free_list};
            seen.solids = 1;
            return seen;
        }
    }
    return {};
}

}  // namespace stackrig::oracle
