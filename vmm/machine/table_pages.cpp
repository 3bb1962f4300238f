// Descending from the roots.
#include "vmm/machine/table_pages.hpp"

#include <array>

#include "vmm/x86/paging.hpp"

namespace stackrig::machine {

void TablePages::follow(const PhysMemory& memory, std::span<const Gpa> roots) {
    std::vector<bool> seen(known_.size());
    for (const Gpa root : roots) {
        follow_table(memory, root, 4, seen);
    }
}

void TablePages::follow_table(const PhysMemory& memory, Gpa table, unsigned level, std::vector<bool>& seen) {
    const std::uint64_t page = to_pfn(table).value();
    if (page >= known_.size() || seen[page]) {
        return;
    }
    seen[page] = true;
    known_[page] = true;
    std::array<x86::Pte, page_size / sizeof(x86::Pte)> entries;
    if (level == 1 || !memory.read(table, std::as_writable_bytes(std::span(entries)))) {
        return;
    }
    for (const x86::Pte entry : entries) {
        if (entry.present() && !(level < 4 && entry.large())) {
            follow_table(memory, entry.address(), level - 1, seen);
        }
    }
}

}  // namespace stackrig::machine
