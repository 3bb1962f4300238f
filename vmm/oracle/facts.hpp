// Numbers a scenario's predicates may ask for, as seen by the oracle at the last stop.
#pragma once

#include <cstdint>

#include "guest/abi/ports.hpp"
#include "vmm/oracle/history.hpp"
#include "vmm/oracle/view.hpp"

namespace stackrig::oracle {

/// Valid until the oracle's next observe(). Unknown CPUs and threads count 0.
class Facts {
  public:
    Facts(const View& view, const History& history) : view_(view), history_(history) {}

    [[nodiscard]] std::uint64_t reserve(CpuId cpu) const;        ///< pages in the reserve
    [[nodiscard]] std::uint64_t cache(CpuId cpu) const;          ///< pages in the cache
    [[nodiscard]] std::uint64_t hands(CpuId cpu) const;          ///< pages a hook holds
    [[nodiscard]] std::uint64_t reserve_users(CpuId cpu) const;  ///< threads with pages of the reserve mapped
    [[nodiscard]] std::uint64_t free() const;                    ///< pages on the free list, as walked
    [[nodiscard]] std::uint64_t leaked()
        const;  ///< frames labelled stack that are nowhere, less what may be in flight
    [[nodiscard]] std::uint64_t mapped(ThreadId t) const;  ///< stack pages present, P0 included: 0..4
    [[nodiscard]] bool pend(ThreadId t) const;             ///< owed its pages
    [[nodiscard]] std::uint64_t loan(ThreadId t) const;    ///< of P1..P3, how many came from a reserve
    [[nodiscard]] bool asleep(ThreadId t) const;           ///< blocked and not on a CPU
    [[nodiscard]] bool alive(ThreadId t) const;            ///< neither dead nor gone
    [[nodiscard]] bool user(ThreadId t) const;             ///< running in user mode right now
    [[nodiscard]] std::uint64_t seen(abi::Mark mark, ThreadId t) const { return history_.seen(mark, t); }
    [[nodiscard]] std::uint64_t seen(abi::Mark mark, CpuId cpu) const { return history_.seen(mark, cpu); }

  private:
    [[nodiscard]] const CpuView* cpu(CpuId id) const;

    const View& view_;
    const History& history_;
};

}  // namespace stackrig::oracle
