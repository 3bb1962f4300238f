// Mapping: owns one mmap()ed range of host memory.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "vmm/base/result.hpp"

namespace stackrig::kvm {

/// Move-only owner of a host mapping; unmaps it.
class Mapping final {
  public:
    Mapping() = default;
    Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    Mapping& operator=(Mapping&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping();

    /// Zeroed private pages, in 4 KiB pieces only: huge pages would make the dirty log and copies coarse.
    static Result<Mapping> anonymous(std::size_t bytes);

    /// The shared page range of a descriptor, from its offset 0.
    static Result<Mapping> of_fd(int fd, std::size_t bytes);

    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

  private:
    explicit Mapping(std::span<std::byte> bytes) : bytes_(bytes) {}
    std::span<std::byte> bytes_;
};

}  // namespace stackrig::kvm
