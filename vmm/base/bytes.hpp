// Comparing memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace stackrig {

/// Whether both hold the same. In whole words of general registers, without vectors: on the virtual KVM host every instruction
/// is emulated, vector instructions at many times the price of others, so that this takes a third of the time of memcmp(); on
/// hardware it takes twice as long, and nobody notices.
[[nodiscard]] inline bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
    if (a.size() != b.size()) {
        return false;
    }
    const auto word = [](const std::byte* at) {
        std::uint64_t value;
        std::memcpy(&value, at, sizeof(value));
        return value;
    };
    constexpr std::size_t words = 16;
    constexpr std::size_t stride = words * sizeof(std::uint64_t);
    std::size_t i = 0;
    for (; i + stride <= a.size(); i += stride) {
        std::uint64_t differing = 0;
#pragma GCC unroll 16
        for (std::size_t k = 0; k < words; ++k) {
            const std::size_t at = i + k * sizeof(std::uint64_t);
            std::uint64_t one = word(a.data() + at) ^ word(b.data() + at);
            asm("" : "+r"(one));  // keeps it in a general register
            differing |= one;
        }
        if (differing != 0) {
            return false;
        }
    }
    return std::memcmp(a.data() + i, b.data() + i, a.size() - i) == 0;
}

}  // namespace stackrig
