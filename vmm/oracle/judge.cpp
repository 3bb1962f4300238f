// Sorting what checks report into violations and notes, once each.
#include "vmm/oracle/judge.hpp"

#include <algorithm>

namespace stackrig::oracle {

Judge::Judge(abi::Scheme scheme, std::string_view expected) {
    if (const auto inv = find_invariant(expected)) {
        expected_ = invariant(*inv).id;
    }
    for (const Invariant& row : catalogue()) {
        active_[static_cast<std::size_t>(row.inv)] = oracle::applies(row, scheme);
    }
}

void Judge::begin_stop(std::uint64_t index, std::size_t step, CpuId cpu) {
    index_ = index;
    step_ = step;
    cpu_ = cpu;
    violations_.clear();
    examined_.clear();
    ++looks_;
}

void Judge::end_stop() {
    ++stops_;
    for (const std::size_t inv : examined_) {
        ++applicable_[inv];
    }
}

bool Judge::decides(const Invariant& row) const {
    if (row.id == expected_) {
        return true;
    }
    return row.basis != Basis::note && (expected_.empty() || row.leads_to != expected_);
}

void Judge::report(Inv inv, std::vector<ThreadId> threads, std::string object, std::string text) {
    if (!applies(inv)) {
        return;
    }
    const bool known = std::any_of(known_.begin(), known_.end(), [&](const Known& k) {
        return k.inv == inv && k.object == object && k.threads == threads;
    });
    if (known) {
        return;
    }
    known_.push_back({inv, object, threads});
    const Invariant& row = invariant(inv);
    (decides(row) ? violations_ : notes_)
        .push_back(
            {inv, row.id, cpu_, std::move(threads), std::move(object), std::move(text), index_, step_});
}

}  // namespace stackrig::oracle
