// Following frames from place to place.
#include "vmm/oracle/provenance.hpp"

#include <algorithm>

namespace stackrig::oracle {

void Provenance::settle(const View& view, std::uint32_t reserve_pages) {
    const auto whole = [&](std::uint16_t cpu) {
        return cpu < view.cpus.size() && view.cpus[cpu].belief.reserve.count >= reserve_pages;
    };
    for (const Pfn pfn : view.frames->seen()) {
        const Place place = view.frames->at(pfn).solid;
        Place& origin = origin_[pfn.value()];
        if (place.kind != PlaceKind::none) {
            settled_[pfn.value()] = place;
        }
        if (place.kind == PlaceKind::cache || place.kind == PlaceKind::reserve ||
            place.kind == PlaceKind::free_list || place.kind == PlaceKind::pool || place.kind == PlaceKind::grant) {
            origin = place;
        } else if (origin.kind == PlaceKind::reserve && whole(origin.owner)) {
            origin.kind = PlaceKind::cache;  // repaid with other frames: nothing is on loan any more
        }
    }
    if (view.free_generation != free_generation_) {
        free_generation_ = view.free_generation;
        for (const Pfn pfn : view.free_list) {
            settled_[pfn.value()] = {.kind = PlaceKind::free_list};
            origin_[pfn.value()] = {.kind = PlaceKind::free_list};
        }
    }
}

void Provenance::observe(const View& view) {
    if (settled_.size() < view.frames->frame_count()) {
        settled_.resize(view.frames->frame_count());
        origin_.resize(view.frames->frame_count());
    }
    loans_.clear();
    for (const Pfn pfn : view.frames->seen()) {
        const Place at = view.frames->at(pfn).solid;
        const Place from = origin_[pfn.value()];
        if (from.kind != PlaceKind::reserve || at.kind != PlaceKind::stack_page || at.page == 0 ||
            !view.slots[at.owner].owner) {
            continue;
        }
        const ThreadId t = *view.slots[at.owner].owner;
        const CpuId cpu{from.owner};
        const auto known = std::find_if(loans_.begin(), loans_.end(),
                                        [&](const Loan& l) { return l.thread == t && l.cpu == cpu; });
        if (known == loans_.end()) {
            loans_.push_back({t, cpu, 1});
        } else {
            ++known->pages;
        }
    }
}

std::uint32_t Provenance::lent(ThreadId t, CpuId cpu) const {
    for (const Loan& loan : loans_) {
        if (loan.thread == t && loan.cpu == cpu) {
            return loan.pages;
        }
    }
    return 0;
}

std::vector<ThreadId> Provenance::holders(CpuId cpu) const {
    std::vector<ThreadId> found;
    for (const Loan& loan : loans_) {
        if (loan.cpu == cpu) {
            found.push_back(loan.thread);
        }
    }
    return found;
}

}  // namespace stackrig::oracle
