// Where frames came from: their last places, and what each thread holds of a reserve. Seen, not believed.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/oracle/ids.hpp"
#include "vmm/oracle/view.hpp"

namespace stackrig::oracle {

class Provenance {
  public:
    /// Finds the loans of this stop, before any check.
    void observe(const View& view);
    /// Remembers where frames are, after all checks of the stop. `reserve_pages`: the configured size.
    void settle(const View& view, std::uint32_t reserve_pages);

    /// Last solid place the frame was seen in before this stop.
    [[nodiscard]] Place settled(Pfn pfn) const {
        return pfn.value() < settled_.size() ? settled_[pfn.value()] : Place{};
    }
    /// Last cache, reserve or free list it came from before this stop; `none` for a page given at birth.
    [[nodiscard]] Place origin(Pfn pfn) const {
        return pfn.value() < origin_.size() ? origin_[pfn.value()] : Place{};
    }
    /// How many of P1..P3 of `t` came from the reserve of `cpu` and have not been made good.
    [[nodiscard]] std::uint32_t lent(ThreadId t, CpuId cpu) const;
    /// Threads that hold pages of the reserve of `cpu`.
    [[nodiscard]] std::vector<ThreadId> holders(CpuId cpu) const;

  private:
    struct Loan {
        ThreadId thread;
        CpuId cpu;
        std::uint32_t pages;
    };
    std::vector<Loan> loans_;  ///< of this stop, by thread
    std::uint64_t free_generation_ = 0;
    std::vector<Place> settled_;
    std::vector<Place> origin_;
};

}  // namespace stackrig::oracle
