// Finding and reading the PTE pages of the stack area.
#include "vmm/oracle/stack_tables.hpp"

namespace stackrig::oracle {
namespace {

constexpr std::uint64_t present = 1;
constexpr std::uint64_t large = 1ull << 7;
constexpr std::uint64_t write_bit = 2;
constexpr std::uint64_t no_execute = 1ull << 63;
constexpr std::uint64_t frame_mask = 0x000ffffffffff000;

}  // namespace

StackTables::Table StackTables::find(const PhysMemory& memory, Gpa root, std::uint32_t slot) {
    const std::uint64_t va = abi::stack_area_base + slot * abi::stack_slot_size;
    Table table;
    Gpa at = root;
    std::uint64_t rights = write_bit;
    for (unsigned level = 4; level > 1; --level) {
        const std::uint64_t index = va >> (12 + 9 * (level - 1)) & 511;
        const auto entry = memory.read_as<std::uint64_t>(at + index * 8);
        if (!entry || (*entry & present) == 0 || (level < 4 && (*entry & large) != 0)) {
            return table;
        }
        rights &= *entry;
        table.set |= *entry & no_execute;
        at = Gpa(*entry & frame_mask);
    }
    table.found = true;
    table.at = at;
    // A leaf's US bit stays in view even where an upper level overrules it: it is one changed table away from a hole.
    table.clear = write_bit & ~rights;
    return table;
}

void StackTables::read(const PhysMemory& memory, Gpa root, std::uint32_t slots) {
    root_ = root;
    tables_.resize((slots + slots_per_table - 1) / slots_per_table);
    for (std::uint32_t i = 0; i < tables_.size(); ++i) {
        std::vector<std::uint64_t> buffer = std::move(tables_[i].pte);
        buffer.resize(entries);
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

std::array<Pte, 8> StackTables::entries_of(std::uint32_t slot) const {
    std::array<Pte, 8> out = {};
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
