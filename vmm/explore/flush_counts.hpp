// The guest's counts of remote flushes (guest/kernel/tlb.cpp), whose absolute values mean nothing.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "guest/abi/state.hpp"
#include "vmm/base/types.hpp"

namespace stackrig::explore {

/// Each unmap that other CPUs are asked to flush for raises one count; a thread remembers the count of its last unmap, and a CPU up to
/// which count it has flushed, and up to which it is about to have. The guest does nothing with them but ask who has not seen which, set
/// one to the latest, and make what a CPU is about to have seen what it has: two machines of which all that is equal go on alike,
/// however often either has counted.
class FlushCounts {
  public:
    /// Of the guest whose KernelState lies at `at` and says `state`. None, so that everything is compared as it is, when that points
    /// out of RAM: of some without the others nothing follows.
    [[nodiscard]] static FlushCounts of(Gpa at, const abi::KernelState& state, std::uint64_t ram_bytes);

    /// Offsets in the page of the 8-byte words that hold a count.
    [[nodiscard]] const std::vector<std::size_t>& in_page(Pfn page) const;
    /// Who has not seen which. `read`: the word at an address of the machine in question.
    [[nodiscard]] std::vector<bool> unseen(const std::function<std::uint64_t(Gpa)>& read) const;

  private:
    void add(std::vector<Gpa>& group, Gpa at);

    std::vector<Gpa> asked_;  // the latest one, and those of the threads
    std::vector<Gpa> seen_;   // those of the CPUs, and what each is about to have seen
    std::map<Pfn, std::vector<std::size_t>> pages_;
};

}  // namespace stackrig::explore
