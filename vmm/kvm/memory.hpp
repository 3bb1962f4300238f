// Memory: guest RAM on the host side; every access is checked against its range.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/mapping.hpp"

namespace stackrig::kvm {

/// A contiguous piece of guest-physical memory. Must outlive the Vm it is a slot of.
class Memory final {
  public:
    /// Zeroed RAM at [base, base + bytes); both whole pages. Errors: rig for a bad range, host when mmap
    /// fails.
    static Result<Memory> create(Gpa base, std::size_t bytes);

    [[nodiscard]] Gpa base() const { return base_; }
    [[nodiscard]] std::size_t size() const { return mapping_.bytes().size(); }
    [[nodiscard]] std::size_t pages() const { return size() / page_size; }

    /// Whether [gpa, gpa + bytes) lies inside.
    [[nodiscard]] bool contains(Gpa gpa, std::size_t bytes) const {
        const std::uint64_t offset = gpa.value() - base_.value();
        return gpa >= base_ && offset <= size() && bytes <= size() - offset;
    }

    /// Copies out. Error: rig, naming the range, when any byte lies outside.
    [[nodiscard]] Result<void> read(Gpa from, std::span<std::byte> to) const;

    /// Copies in and records the pages as written by the host (F4: KVM does not log these).
    [[nodiscard]] Result<void> write(Gpa to, std::span<const std::byte> from);

    template <class T>
    [[nodiscard]] Result<T> read(Gpa from) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        STACKRIG_TRY(read(from, std::as_writable_bytes(std::span(&value, 1))));
        return value;
    }

    /// Not of a span, whatever its extent: that would write the pointer in it.
    template <class T>
        requires(!std::convertible_to<const T&, std::span<const std::byte>>)
    [[nodiscard]] Result<void> write(Gpa to, const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        return write(to, std::as_bytes(std::span(&value, 1)));
    }

    /// The whole RAM, for readers with their own checks (page walker, snapshots).
    [[nodiscard]] std::span<const std::byte> bytes() const { return mapping_.bytes(); }

    /// The whole RAM, for restoring snapshots: writes through it are NOT recorded.
    [[nodiscard]] std::span<std::byte> unrecorded_bytes() { return mapping_.bytes(); }

    /// One bit per page from base(), set by write(): bit n of word n / 64.
    [[nodiscard]] std::span<const std::uint64_t> host_written() const { return host_written_; }
    /// How often write() has been called.
    [[nodiscard]] std::uint64_t host_writes() const { return host_writes_; }
    void forget_host_written() { host_written_.assign(host_written_.size(), 0); }

  private:
    Memory(Gpa base, Mapping mapping);
    Gpa base_;
    Mapping mapping_;
    std::vector<std::uint64_t> host_written_;
    std::uint64_t host_writes_ = 0;
};

}  // namespace stackrig::kvm
