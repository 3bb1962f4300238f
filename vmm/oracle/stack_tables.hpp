// The PTE pages behind the stack area, found through a page-table root and read in bulk.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "guest/abi/layout.hpp"
#include "vmm/base/phys_memory.hpp"
#include "vmm/base/types.hpp"

namespace stackrig::oracle {

/// A leaf entry as the CPU would use it (SDM 4.5), with the rights of the levels above already applied.
struct Pte {
    std::uint64_t raw = 0;

    [[nodiscard]] bool present() const { return (raw & 1) != 0; }
    [[nodiscard]] bool writable() const { return (raw & 2) != 0; }
    [[nodiscard]] bool user() const { return (raw & 4) != 0; }
    /// PWT, PCD or PAT set: not the write-back type of the default PAT.
    [[nodiscard]] bool uncached() const { return (raw & 0x98) != 0; }
    [[nodiscard]] bool accessed() const { return (raw & 0x20) != 0; }
    [[nodiscard]] bool dirty() const { return (raw & 0x40) != 0; }
    [[nodiscard]] bool global() const { return (raw & 0x100) != 0; }
    [[nodiscard]] bool no_execute() const { return (raw >> 63) != 0; }
    /// Wide: a frame number beyond RAM must stay visible as such.
    [[nodiscard]] std::uint64_t frame_number() const { return (raw & 0x000ffffffffff000) >> page_shift; }
    [[nodiscard]] Pfn frame() const { return Pfn(static_cast<std::uint32_t>(frame_number())); }
};

/// What a root says about the stack area, one PTE page per 64 slots.
class StackTables {
  public:
    static constexpr std::uint32_t slots_per_table = 64;
    static constexpr std::uint32_t pages_per_slot = 8;

    /// Reads all PTE pages that map the first `slots` slots under `root`.
    void read(const PhysMemory& memory, Gpa root, std::uint32_t slots);
    /// Whether `root` leads to the very PTE pages read last, with the same rights.
    [[nodiscard]] bool same_under(const PhysMemory& memory, Gpa root);

    [[nodiscard]] bool has_table(std::uint32_t slot) const { return tables_[slot / slots_per_table].found; }
    /// The entries of `slot`, lowest guard page first, P0 last, rights of the upper levels applied.
    [[nodiscard]] std::array<Pte, pages_per_slot> entries_of(std::uint32_t slot) const;

  private:
    struct Table {
        bool found = false;
        Gpa at;
        std::uint64_t clear = 0;  ///< rights bits (RW, US) that the upper levels take away
        std::uint64_t set = 0;    ///< NX that they add
        std::vector<std::uint64_t> pte;
    };
    [[nodiscard]] static Table find(const PhysMemory& memory, Gpa root, std::uint32_t slot);

    std::vector<Table> tables_;
    Gpa root_;
};

}  // namespace stackrig::oracle
