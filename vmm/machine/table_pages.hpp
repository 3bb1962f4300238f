// Which pages of RAM the guest's CPUs may have used as page tables.
#pragma once

#include <span>
#include <vector>

#include "vmm/base/phys_memory.hpp"
#include "vmm/base/types.hpp"

namespace stackrig::machine {

/// Pages are numbered from the beginning of RAM. One that was a table once stays known as one: KVM may still keep its shadow.
class TablePages {
  public:
    explicit TablePages(std::size_t pages) : known_(pages) {}

    /// Adds all tables below the PML4s at `roots` (SDM 3A 4.5) as `memory` has them now.
    void follow(const PhysMemory& memory, std::span<const Gpa> roots);
    [[nodiscard]] bool contains(std::size_t page) const { return known_[page]; }

  private:
    void follow_table(const PhysMemory& memory, Gpa table, unsigned level, std::vector<bool>& seen);

    std::vector<bool> known_;
};

}  // namespace stackrig::machine
