// Finding and reading the PTE pages of the stack area.
#include "vmm/oracle/stack_tables.hpp"

#include <algorithm>

#include "vmm/x86/paging.hpp"

namespace stackrig::oracle {

StackTables::Table StackTables::find(const PhysMemory& memory, Gpa root, std::uint32_t slot) {
    constexpr unsigned levels = 4;
    const x86::Walk walk = x86::walk(memory, root, Gva(abi::stack_area_base + slot * abi::stack_slot_size));
    Table table;
    if (walk.depth < levels) {
        return table;
    }
    std::uint64_t rights = x86::Pte::rw;
    for (const x86::WalkStep& step : walk.steps().first(levels - 1)) {
        rights &= step.entry.raw;
        table.set |= step.entry.raw & x86::Pte::nx;
    }
    table.found = true;
    table.at = Gpa(walk.entries[levels - 1].at.value() & x86::Pte::address_mask);
    // A leaf's US bit stays in view even where an upper level overrules it: it is one changed table away from a hole.
    table.clear = x86::Pte::rw & ~rights;
    return table;
}

void StackTables::read(const PhysMemory& memory, Gpa root, std::uint32_t slots) {
    root_ = root;
    tables_.resize((slots + slots_per_table - 1) / slots_per_table);
    for (std::uint32_t i = 0; i < tables_.size(); ++i) {
        std::vector<std::uint64_t> buffer = std::move(tables_[i].pte);
        buffer.resize(std::min(slots - i * slots_per_table, slots_per_table) * pages_per_slot);
        tables_[i] = find(memory, root, i * slots_per_table);
        tables_[i].found =
            tables_[i].found && memory.read(tables_[i].at, std::as_writable_bytes(std::span(buffer)));
        tables_[i].pte = std::move(buffer);
    }
}

bool StackTables::same_under(const PhysMemory& memory, Gpa root) {
    if (root == root_) {
        return true;
    }
    for (std::uint32_t i = 0; i < tables_.size(); ++i) {
        const Table other = find(memory, root, i * slots_per_table);
        if (other.found != tables_[i].found || other.at != tables_[i].at || other.clear != tables_[i].clear ||
            other.set != tables_[i].set) {
            return false;
        }
    }
    return true;
}

std::array<Pte, StackTables::pages_per_slot> StackTables::entries_of(std::uint32_t slot) const {
    std::array<Pte, pages_per_slot> out = {};
    const Table& table = tables_[slot / slots_per_table];
    if (table.found) {
        const std::uint64_t* raw = &table.pte[slot % slots_per_table * out.size()];
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i].raw = (raw[i] & ~table.clear) | table.set;
        }
    }
    return out;
}

}  // namespace stackrig::oracle
