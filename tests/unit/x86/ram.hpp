// RAM in a buffer, for walkers and decoders without a guest.
#pragma once

#include <cstring>
#include <vector>

#include "vmm/base/phys_memory.hpp"

namespace stackrig::x86 {

class Ram final : public PhysMemory {
  public:
    explicit Ram(std::uint64_t pages) : bytes_(pages * page_size) {}

    [[nodiscard]] bool read(Gpa from, std::span<std::byte> into) const override {
        if (from.value() > bytes_.size() || into.size() > bytes_.size() - from.value()) {
            return false;
        }
        std::memcpy(into.data(), bytes_.data() + from.value(), into.size());
        return true;
    }
    [[nodiscard]] std::uint64_t size_bytes() const override { return bytes_.size(); }

    void write(Gpa to, std::uint64_t value) { std::memcpy(bytes_.data() + to.value(), &value, sizeof value); }

  private:
    std::vector<std::byte> bytes_;
};

}  // namespace stackrig::x86
