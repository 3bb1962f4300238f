// Walking 4-level page tables as the CPU does (SDM 3A 4.5), entry by entry.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "vmm/base/phys_memory.hpp"
#include "vmm/base/types.hpp"

namespace stackrig::x86 {

/// One page-table entry of any level (SDM 3A 4.5.5, tables 4-15 to 4-20).
struct Pte {
    std::uint64_t raw = 0;

    static constexpr std::uint64_t p = 1u << 0;
    static constexpr std::uint64_t rw = 1u << 1;
    static constexpr std::uint64_t us = 1u << 2;
    static constexpr std::uint64_t a = 1u << 5;
    static constexpr std::uint64_t d = 1u << 6;
    static constexpr std::uint64_t ps = 1u << 7;
    static constexpr std::uint64_t g = 1u << 8;
    static constexpr std::uint64_t nx = 1ull << 63;
    static constexpr std::uint64_t address_mask = 0x000ffffffffff000;

    [[nodiscard]] constexpr bool present() const { return (raw & p) != 0; }
    [[nodiscard]] constexpr bool writable() const { return (raw & rw) != 0; }
    [[nodiscard]] constexpr bool user() const { return (raw & us) != 0; }
    [[nodiscard]] constexpr bool accessed() const { return (raw & a) != 0; }
    /// Meaningful in leaves only, like global().
    [[nodiscard]] constexpr bool dirty() const { return (raw & d) != 0; }
    [[nodiscard]] constexpr bool global() const { return (raw & g) != 0; }
    [[nodiscard]] constexpr bool no_execute() const { return (raw & nx) != 0; }
    /// PS: maps a large page (levels 3 and 2). In a 4 KiB entry this bit is PAT.
    [[nodiscard]] constexpr bool large() const { return (raw & ps) != 0; }
    /// Physical address of the next table, or of a 4 KiB page.
    [[nodiscard]] constexpr Gpa address() const { return Gpa(raw & address_mask); }
    bool operator==(const Pte&) const = default;
};

/// An entry, and where in physical memory the CPU reads it.
struct WalkStep {
    Gpa at;
    Pte entry;
    bool operator==(const WalkStep&) const = default;
};

/// What the tables say about one address.
struct Walk {
    enum class Outcome {
        mapped,
        not_canonical,  ///< bits 63..47 differ
        not_present,    ///< the last of steps() has P=0
        reserved,       ///< the last of steps() has PS where there is none, or a misaligned large page
        outside,        ///< the next entry would lie outside RAM
    };
    Outcome outcome = Outcome::not_present;
    std::array<WalkStep, 4> entries;  ///< [0] is the PML4 entry
    unsigned depth = 0;               ///< how many of `entries` were read
    std::uint64_t page_bytes = 0;     ///< 4 KiB, 2 MiB or 1 GiB; mapped only
    Gpa physical;                     ///< of the address itself; mapped only. It may lie outside RAM
    /// The rights of all levels together; mapped only.
    bool writable = false;
    bool user = false;
    bool no_execute = false;

    [[nodiscard]] bool mapped() const { return outcome == Outcome::mapped; }
    [[nodiscard]] std::span<const WalkStep> steps() const { return std::span(entries).first(depth); }
    /// The entry that ended the walk: the leaf when mapped. Undefined when depth is 0.
    [[nodiscard]] Pte last() const { return entries[depth - 1].entry; }
    bool operator==(const Walk&) const = default;
};

/// "mapped", "not present", ... for messages.
[[nodiscard]] const char* describe(Walk::Outcome outcome);

/// Physical address of the PML4 that a CR3 value names, PCID and flags removed (SDM 3A 4.5, table 4-12).
[[nodiscard]] constexpr Gpa root_of(std::uint64_t cr3) { return Gpa(cr3 & Pte::address_mask); }

[[nodiscard]] constexpr bool canonical(Gva address) {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(address.value() << 16) >> 16) == address.value();
}

/// Walks the tables under `root` for `address`. Changes nothing: no A or D bit is set.
[[nodiscard]] Walk walk(const PhysMemory& memory, Gpa root, Gva address);

/// Shows every mapped page that touches [begin, end), in ascending order, as (first address of the page, its walk). Absent
/// tables are skipped whole, so that sparse ranges are cheap. Both ends canonical and in the same half.
void walk_range(const PhysMemory& memory, Gpa root, Gva begin, Gva end, const std::function<void(Gva, const Walk&)>& show);

}  // namespace stackrig::x86
