// Following frames from place to place.
#include "vmm/oracle/provenance.hpp"

#include <algorithm>

namespace stackrig::oracle {

std::vector<Place>& PlaceTable::own() {
    if (!places_) {
        places_ = std::make_shared<std::vector<Place>>();
    } else if (places_.use_count() > 1) {
        places_ = std::make_shared<std::vector<Place>>(*places_);
    }
    return *places_;
}

void PlaceTable::grow(std::size_t frames) {
    if (size() < frames) {
        own().resize(frames);
    }
}

void PlaceTable::set(Pfn pfn, Place place) {
    if (at(pfn) != place) {
        own()[pfn.value()] = place;
    }
}

void Provenance::settle(const View& view, std::uint32_t reserve_pages) {
    const auto whole = [&](std::uint16_t cpu) {
        return cpu < view.cpus.size() && view.cpus[cpu].belief.reserve.count >= reserve_pages;
    };
    for (const Pfn pfn : view.frames->seen()) {
        const Place place = view.frames->at(pfn).solid;
        Place origin = origin_.at(pfn);
        if (place.kind != PlaceKind::none) {
            settled_.set(pfn, place);
        }
        if (place.kind == PlaceKind::cache || place.kind == PlaceKind::reserve ||
            place.kind == PlaceKind::free_list || place.kind == PlaceKind::pool || place.kind == PlaceKind::grant) {
            origin = place;
        } else if (origin.kind == PlaceKind::reserve && whole(origin.owner)) {
            origin.kind = PlaceKind::cache;  // repaid with other frames: nothing is on loan any more
        }
        origin_.set(pfn, origin);
    }
    if (view.free_fingerprint != free_fingerprint_) {
        free_fingerprint_ = view.free_fingerprint;
        for (const Pfn pfn : view.free_list) {
            settled_.set(pfn, {.kind = PlaceKind::free_list});
            origin_.set(pfn, {.kind = PlaceKind::free_list});
        }
    }
}

void Provenance::observe(const View& view) {
    settled_.grow(view.frames->frame_count());
    origin_.grow(view.frames->frame_count());
    loans_.clear();
    for (const Pfn pfn : view.frames->seen()) {
        const Place at = view.frames->at(pfn).solid;
        const Place from = origin_.at(pfn);
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
