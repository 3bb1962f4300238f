// The walk.
#include "vmm/x86/paging.hpp"

#include <algorithm>

namespace stackrig::x86 {
namespace {

constexpr unsigned levels = 4;
constexpr std::uint64_t entry_bytes = 8;

/// Lowest address bit that the entry of this depth selects by: 39 for the PML4, 12 for a page table.
constexpr unsigned shift_of(unsigned depth) { return page_shift + 9 * (levels - 1 - depth); }

/// Bytes that one entry of this depth spans.
constexpr std::uint64_t span_of(unsigned depth) { return std::uint64_t{1} << shift_of(depth); }

static_assert(shift_of(0) == 39 && span_of(1) == 1u << 30 && span_of(2) == 1u << 21 && span_of(3) == 4096);

}  // namespace

const char* describe(Walk::Outcome outcome) {
    switch (outcome) {
        case Walk::Outcome::mapped: return "mapped";
        case Walk::Outcome::not_canonical: return "not canonical";
        case Walk::Outcome::not_present: return "not present";
        case Walk::Outcome::reserved: return "reserved bits set";
        case Walk::Outcome::outside: return "page table outside RAM";
    }
    return "?";
}

Walk walk(const PhysMemory& memory, Gpa root, Gva address) {
    Walk result{.writable = true, .user = true};
    const auto end = [&result](Walk::Outcome outcome) {
        result.outcome = outcome;
        if (outcome != Walk::Outcome::mapped) {
            result.writable = result.user = result.no_execute = false;
        }
        return result;
    };
    if (!canonical(address)) {
        return end(Walk::Outcome::not_canonical);
    }
    Gpa table = root;
    for (unsigned depth = 0; depth < levels; ++depth) {
        const Gpa at = table + (address.value() >> shift_of(depth) & 511) * entry_bytes;
        const auto raw = memory.read_as<std::uint64_t>(at);
        if (!raw) {
            return end(Walk::Outcome::outside);
        }
        const Pte entry{*raw};
        result.entries[result.depth++] = {at, entry};
        if (!entry.present()) {
            return end(Walk::Outcome::not_present);
        }
        result.writable &= entry.writable();
        result.user &= entry.user();
        result.no_execute |= entry.no_execute();
        const bool leaf = depth == levels - 1 || entry.large();
        if (leaf) {
            // Bit 12 of a large page's entry is PAT; between it and the page's own alignment all is reserved.
            const std::uint64_t offset_mask = span_of(depth) - 1;
            const std::uint64_t base = entry.address().value() & ~(depth == levels - 1 ? 0 : page_size);
            if (depth == 0 || (base & offset_mask) != 0) {
                return end(Walk::Outcome::reserved);
            }
            result.page_bytes = span_of(depth);
            result.physical = Gpa(base | (address.value() & offset_mask));
            return end(Walk::Outcome::mapped);
        }
        table = entry.address();
    }
    return end(Walk::Outcome::not_present);
}

void walk_range(const PhysMemory& memory, Gpa root, Gva begin, Gva end, const std::function<void(Gva, const Walk&)>& show) {
    for (std::uint64_t at = begin.value(); at < end.value();) {
        const Walk found = walk(memory, root, Gva(at));
        const std::uint64_t bytes = found.mapped() ? found.page_bytes : span_of(std::max(found.depth, 1u) - 1);
        const std::uint64_t first = at & ~(bytes - 1);
        if (found.mapped()) {
            Walk page = found;
            page.physical = found.physical - (at - first);
            show(Gva(first), page);
        }
        at = first + bytes;
        if (at == 0) {
            return;  // the last page of the address space
        }
    }
}

}  // namespace stackrig::x86
