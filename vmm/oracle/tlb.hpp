// What each CPU's TLB may hold for the pages of the stack area: real TLBs cannot be asked, so what they could
// hold is followed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "guest/abi/layout.hpp"
#include "vmm/base/types.hpp"
#include "vmm/oracle/ids.hpp"

namespace stackrig::oracle {

/// One page of the stack area.
struct StackPage {
    SlotId slot;
    std::uint8_t page = 0;  ///< 0 (P0, top) .. 3
    bool operator==(const StackPage&) const = default;
};

/// A set of CPUs, one bit each.
using CpuSet = std::uint8_t;
[[nodiscard]] constexpr CpuSet only(CpuId cpu) { return static_cast<CpuSet>(1u << cpu.value()); }

/// What CPUs are taken to cache. The SDM (4.10.2.3) allows them to fill ahead, accessed or not: `arch` is what software must live
/// with; `demand` is what the CPUs of an optimist do.
enum class Fill : std::uint8_t { arch, demand };

/// A translation that a CPU may hold although the page tables no longer say it.
struct Stale {
    StackPage page;
    Pfn frame;
    bool global = false;
    CpuSet demand = 0;  ///< CPUs that may hold it because they have used it while it was right
    CpuSet arch =
        0;  ///< CPUs that may hold it because any CPU may fill ahead, without ever using it (SDM 4.10.2.3)
    bool operator==(const Stale&) const = default;

    [[nodiscard]] bool held_by(CpuId cpu) const { return ((demand | arch) & only(cpu)) != 0; }
};

/// Two fill policies side by side: `demand`, a CPU caches what it accesses; `arch`, any running CPU may cache
/// whatever is present. A not-present entry is never cached, so P 0->1 needs no flush (SDM 4.10.4.3); nothing
/// is broadcast (4.10.5). A value: copies are independent, and equal models judge alike.
class TlbModel {
  public:
    explicit TlbModel(Fill fill = Fill::arch) : fill_(fill) {}
    /// The leaf PTE of `page` became present, or points elsewhere now. The former translation goes stale as
    /// by unmap().
    void map(StackPage page, Pfn frame, bool global, CpuSet running);
    /// The leaf PTE of `page` is not present any more. `running`: CPUs that may have filled ahead.
    void unmap(StackPage page, CpuSet running);
    /// `cpu` reads or writes in `page`. What it may hit besides the page tables' answer, nothing when that is
    /// all; fills.
    std::optional<Stale> access(CpuId cpu, StackPage page);

    void flush_page(CpuId cpu, StackPage page);  ///< INVLPG, or a #PF on the page (4.10.4.1)
    void flush_non_global(CpuId cpu);            ///< MOV CR3
    void flush_all(CpuId cpu);                   ///< CR4.PGE toggled, reset

    /// A stale translation of `page` that `cpu` may hold.
    [[nodiscard]] std::optional<Stale> stale(CpuId cpu, StackPage page) const;
    /// A stale translation to `frame`, through another page than `except`, that some CPU may hold.
    [[nodiscard]] std::optional<Stale> stale_to(Pfn frame, std::optional<StackPage> except) const;
    [[nodiscard]] std::optional<Pfn> mapped(StackPage page) const;
    [[nodiscard]] bool global(StackPage page) const;
    [[nodiscard]] Fill fill() const { return fill_; }
    [[nodiscard]] const std::vector<Stale>& all_stale() const { return stale_; }

    bool operator==(const TlbModel&) const = default;

  private:
    struct Current {
        Pfn frame;
        bool present = false;
        bool global = false;
        CpuSet used_by = 0;  ///< CPUs that have accessed it since it was mapped or they flushed it
        bool operator==(const Current&) const = default;
    };
    [[nodiscard]] static std::size_t index(StackPage page) { return page.slot.value() * abi::stack_pages + page.page; }
    Current& current(StackPage page);
    template <class Which>
    void drop(CpuId cpu, Which which);

    Fill fill_;
    std::vector<Current> current_;
    std::vector<Stale> stale_;
};

}  // namespace stackrig::oracle
