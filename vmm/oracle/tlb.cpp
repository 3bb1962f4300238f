// Filling, invalidating, and asking what is left.
#include "vmm/oracle/tlb.hpp"

#include <algorithm>

namespace stackrig::oracle {

TlbModel::Current& TlbModel::current(StackPage page) {
    if (index(page) >= current_.size()) {
        current_.resize((page.slot.value() + 1) * std::size_t{abi::stack_pages});  // whole slots: the size tells nothing of what was mapped when
    }
    return current_[index(page)];
}

void TlbModel::map(StackPage page, Pfn frame, bool global, CpuSet running) {
    unmap(page, running);
    Current& now = current(page);
    now = {frame, true, global, 0};
    // A translation of old that is right again does no harm, and is held already.
    const auto again = std::find_if(stale_.begin(), stale_.end(), [&](const Stale& s) {
        return s.page == page && s.frame == frame && s.global == global;
    });
    if (again != stale_.end()) {
        now.used_by = again->demand;
        stale_.erase(again);
    }
}

void TlbModel::unmap(StackPage page, CpuSet running) {
    Current& now = current(page);
    running = fill_ == Fill::arch ? running : CpuSet{0};
    if (now.present && (now.used_by | running) != 0) {
        const auto known = std::find_if(stale_.begin(), stale_.end(), [&](const Stale& s) {
            return s.page == page && s.frame == now.frame && s.global == now.global;
        });
        Stale& gone =
            known != stale_.end() ? *known : stale_.emplace_back(Stale{page, now.frame, now.global});
        gone.demand |= now.used_by;
        gone.arch |= running;
    }
    now = {};
}

std::optional<Stale> TlbModel::access(CpuId cpu, StackPage page) {
    Current& now = current(page);
    if (now.present) {
        now.used_by |= only(cpu);
    }
    return stale(cpu, page);
}

/// Takes `cpu` out of what `which` selects, and forgets what nobody holds any more.
template <class Which>
void TlbModel::drop(CpuId cpu, Which which) {
    const auto others = static_cast<CpuSet>(~only(cpu));
    for (Stale& s : stale_) {
        if (which(s.page, s.global)) {
            s.demand &= others;
            s.arch &= others;
        }
    }
    std::erase_if(stale_, [](const Stale& s) { return (s.demand | s.arch) == 0; });
}

void TlbModel::flush_page(CpuId cpu, StackPage page) {
    current(page).used_by &= static_cast<CpuSet>(~only(cpu));
    drop(cpu, [page](StackPage p, bool) { return p == page; });
}

void TlbModel::flush_non_global(CpuId cpu) {
    for (Current& now : current_) {
        now.used_by &= now.global ? now.used_by : static_cast<CpuSet>(~only(cpu));
    }
    drop(cpu, [](StackPage, bool global) { return !global; });
}

void TlbModel::flush_all(CpuId cpu) {
    for (Current& now : current_) {
        now.used_by &= static_cast<CpuSet>(~only(cpu));
    }
    drop(cpu, [](StackPage, bool) { return true; });
}

std::optional<Stale> TlbModel::stale(CpuId cpu, StackPage page) const {
    std::optional<Stale> found;
    for (const Stale& s : stale_) {
        if (s.page == page && s.held_by(cpu)) {
            found = s;
            if ((s.demand & only(cpu)) != 0) {
                break;  // the stronger evidence
            }
        }
    }
    return found;
}

std::optional<Stale> TlbModel::stale_to(Pfn frame, std::optional<StackPage> except) const {
    for (const Stale& s : stale_) {
        if (s.frame == frame && s.page != except) {
            return s;
        }
    }
    return std::nullopt;
}

std::optional<Pfn> TlbModel::mapped(StackPage page) const {
    const bool present = index(page) < current_.size() && current_[index(page)].present;
    return present ? std::optional(current_[index(page)].frame) : std::nullopt;
}

bool TlbModel::global(StackPage page) const {
    return index(page) < current_.size() && current_[index(page)].global;
}

}  // namespace stackrig::oracle
