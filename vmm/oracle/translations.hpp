// Feeds the TLB model from stops, and judges what goes through it: INV-22, INV-23, INV-24.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "vmm/oracle/scene.hpp"
#include "vmm/oracle/tlb.hpp"

namespace stackrig::oracle {

/// Between two stops one CPU has run. What it has changed in the page tables comes first, then what it has
/// invalidated, then what it has accessed: an error of that order errs towards an alarm only for a CPU that
/// flushed before it mapped.
class Translations {
  public:
    explicit Translations(Fill fill = Fill::arch) : tlb_(fill) {}
    void observe(const Scene& scene);
    [[nodiscard]] const TlbModel& model() const { return tlb_; }
    /// Whether some CPU may use a translation that the page tables do not say: always, where CPUs are believed not to fill ahead,
    /// for real ones do.
    [[nodiscard]] bool may_hold_stale() const { return tlb_.fill() == Fill::demand || !tlb_.all_stale().empty(); }

    /// Whether both would judge alike from here on.
    bool operator==(const Translations&) const = default;

  private:
    void follow_tables(const Scene& s);
    void follow_page(const Scene& s, StackPage page, Pte pte, CpuSet running);
    void follow_flushes(const Scene& s);
    void drop(CpuId cpu, const engine::Invalidation& what);
    void follow_accesses(const Scene& s);
    void check_free(const Scene& s);
    void use(const Scene& s, StackPage page);

    TlbModel tlb_;
    std::array<Gpa, abi::max_cpus> roots_ = {};
    std::vector<std::uint64_t> lowest_;  ///< Thread::lowest_rsp at the last stop
    std::uint64_t free_fingerprint_ = 0;
};

}  // namespace stackrig::oracle
