// Numbers for predicates, taken from the view rather than from the guest's word where both exist.
#include "vmm/oracle/facts.hpp"

#include <algorithm>
#include <bit>

namespace stackrig::oracle {

const CpuView* Facts::cpu(CpuId id) const {
    return id.value() < view_.cpus.size() ? &view_.cpus[id.value()] : nullptr;
}

std::uint64_t Facts::reserve(CpuId id) const {
    return cpu(id) != nullptr ? cpu(id)->belief.reserve.count : 0;
}
std::uint64_t Facts::cache(CpuId id) const { return cpu(id) != nullptr ? cpu(id)->belief.cache.count : 0; }
std::uint64_t Facts::hands(CpuId id) const { return cpu(id) != nullptr ? cpu(id)->belief.hands.count : 0; }
std::uint64_t Facts::reserve_users(CpuId id) const { return history_.holders(id).size(); }
std::uint64_t Facts::free() const { return view_.free_list.size(); }

std::uint64_t Facts::leaked() const {
    const auto nowhere = static_cast<std::size_t>(
        std::count_if(view_.stack_frames.begin(), view_.stack_frames.end(), [this](Pfn pfn) {
            const FrameSeen seen = view_.frames->at(pfn);
            return seen.solids == 0 && seen.in_hands == 0;
        }));
    const std::size_t in_flight = history_.turn().quiet ? 0 : view_.cpus.size();  // as INV-4 has it
    return nowhere > in_flight ? nowhere - in_flight : 0;
}

std::uint64_t Facts::mapped(ThreadId t) const {
    return view_.exists(t) ? static_cast<std::uint64_t>(std::popcount(view_.mapped(t))) : 0;
}

bool Facts::pend(ThreadId t) const { return view_.exists(t) && view_.thread(t).pend != 0; }

std::uint64_t Facts::loan(ThreadId t) const {
    std::uint64_t sum = 0;
    for (const CpuView& c : view_.cpus) {
        sum += history_.lent(t, c.regs.cpu);
    }
    return sum;
}

bool Facts::asleep(ThreadId t) const {
    return view_.exists(t) && view_.thread(t).state == abi::ThreadState::blocked &&
           std::none_of(view_.cpus.begin(), view_.cpus.end(),
                        [t](const CpuView& c) { return c.running == t; });
}

bool Facts::alive(ThreadId t) const { return view_.alive(t) && history_.thread(t).phase != Phase::dead; }

bool Facts::user(ThreadId t) const {
    return std::any_of(view_.cpus.begin(), view_.cpus.end(),
                       [t](const CpuView& c) { return c.running == t && c.regs.user_mode(); });
}

}  // namespace stackrig::oracle
