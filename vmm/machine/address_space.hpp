// One address space of the guest: its virtual memory, read and written through its own page tables.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <type_traits>

#include "vmm/base/phys_memory.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/memory.hpp"
#include "vmm/kvm/state.hpp"

namespace stackrig::machine {

/// Reads are of original bytes (Patches); rights are ignored: the rig may look everywhere. Errors are the guest's and name the
/// address and what the tables say about it.
class AddressSpace {
  public:
    /// That of a CPU with these registers: its page tables, or none while paging is off.
    AddressSpace(const PhysMemory& memory, const kvm::Sregs& sregs);
    /// That of a PML4 at `root`.
    AddressSpace(const PhysMemory& memory, Gpa root) : memory_(memory), root_(root) {}

    [[nodiscard]] Result<Gpa> physical(Gva address) const;
    [[nodiscard]] Result<void> read(Gva from, std::span<std::byte> into) const;
    /// As many of the bytes as are mapped and in RAM, from the first on.
    [[nodiscard]] std::size_t read_some(Gva from, std::span<std::byte> into) const;
    /// Into `ram`, which must be the RAM under the memory that is read.
    [[nodiscard]] Result<void> write(kvm::Memory& ram, Gva to, std::span<const std::byte> from) const;

    template <class T>
    [[nodiscard]] Result<T> read(Gva from) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        STACKRIG_TRY(read(from, std::as_writable_bytes(std::span(&value, 1))));
        return value;
    }
    template <class T>
        requires(!std::convertible_to<const T&, std::span<const std::byte>>)
    [[nodiscard]] Result<void> write(kvm::Memory& ram, Gva to, const T& value) const {
        static_assert(std::is_trivially_copyable_v<T>);
        return write(ram, to, std::as_bytes(std::span(&value, 1)));
    }

  private:
    const PhysMemory& memory_;
    std::optional<Gpa> root_;  // none: linear addresses are physical
};

}  // namespace stackrig::machine
