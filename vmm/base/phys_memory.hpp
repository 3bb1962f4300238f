// Read access to guest physical memory, for everything that looks at a guest without being allowed to touch it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include "vmm/base/types.hpp"

namespace stackrig {

/// Guest RAM as a reader sees it: original bytes, never the rig's own patches.
class PhysMemory {
  public:
    virtual ~PhysMemory() = default;
    /// Copies out `into.size()` bytes from `from`; false when any of them lies outside RAM.
    [[nodiscard]] virtual bool read(Gpa from, std::span<std::byte> into) const = 0;
    /// What read() would copy, where it lies; nothing when it does not lie anywhere as it should be read. Valid until the guest
    /// or anybody writes to it.
    [[nodiscard]] virtual std::optional<std::span<const std::byte>> in_place(Gpa from, std::size_t bytes) const {
        (void)from, (void)bytes;
        return std::nullopt;
    }
    [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;

    template <class T>
    [[nodiscard]] std::optional<T> read_as(Gpa from) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        if (!read(from, std::as_writable_bytes(std::span(&value, 1)))) {
            return std::nullopt;
        }
        return value;
    }
};

}  // namespace stackrig
