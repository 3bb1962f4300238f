// Mixing a counter into a number that looks random: SplitMix64 (Steele, Lea, Flood 2014).
#pragma once

#include <cstdint>

namespace stackrig::explore {

/// A bijection of 64 bits in which each bit of the input changes half of the output.
[[nodiscard]] constexpr std::uint64_t shuffled(std::uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

}  // namespace stackrig::explore
