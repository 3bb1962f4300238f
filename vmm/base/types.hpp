// Strong types for the numbers that cross layers: addresses, frame numbers, vectors, CPUs.
#pragma once

#include <compare>
#include <cstdint>
#include <fmt/format.h>
#include <functional>

namespace stackrig {

inline constexpr std::uint64_t page_size = 4096;
inline constexpr unsigned page_shift = 12;

/// CRTP-free strong integer: a distinct type per Tag, explicit in both directions.
template <class Tag, class Int>
class Strong {
  public:
    using value_type = Int;
    constexpr Strong() = default;
    constexpr explicit Strong(Int value) : value_(value) {}
    [[nodiscard]] constexpr Int value() const { return value_; }
    constexpr auto operator<=>(const Strong&) const = default;

  private:
    Int value_ = 0;
};

/// An address type: may be moved by a byte offset, and subtracted from its like.
template <class Tag>
class Address : public Strong<Tag, std::uint64_t> {
  public:
    using Strong<Tag, std::uint64_t>::Strong;
    constexpr Address operator+(std::uint64_t bytes) const { return Address(this->value() + bytes); }
    constexpr Address operator-(std::uint64_t bytes) const { return Address(this->value() - bytes); }
    constexpr std::uint64_t operator-(Address other) const { return this->value() - other.value(); }
    [[nodiscard]] constexpr Address page() const { return Address(this->value() & ~(page_size - 1)); }
    [[nodiscard]] constexpr std::uint64_t page_offset() const { return this->value() & (page_size - 1); }
};

using Gpa = Address<struct GpaTag>;  ///< guest physical address, bytes
using Gva = Address<struct GvaTag>;  ///< guest virtual (linear) address, bytes

using Pfn = Strong<struct PfnTag, std::uint32_t>;       ///< guest page frame number (Gpa >> 12)
using Vector = Strong<struct VectorTag, std::uint8_t>;  ///< interrupt or exception vector, 0..255
using CpuId = Strong<struct CpuIdTag, std::uint32_t>;   ///< guest CPU, 0..3
using Steps = Strong<struct StepsTag, std::uint64_t>;   ///< count of instruction boundaries

[[nodiscard]] constexpr Gpa to_gpa(Pfn pfn) { return Gpa(std::uint64_t{pfn.value()} << page_shift); }
[[nodiscard]] constexpr Pfn to_pfn(Gpa gpa) { return Pfn(static_cast<std::uint32_t>(gpa.value() >> page_shift)); }

}  // namespace stackrig

template <class Tag>
struct fmt::formatter<stackrig::Address<Tag>> : fmt::formatter<std::string_view> {
    auto format(stackrig::Address<Tag> a, fmt::format_context& ctx) const {
        return fmt::format_to(ctx.out(), "{:#x}", a.value());
    }
};
template <>
struct fmt::formatter<stackrig::Pfn> : fmt::formatter<std::string_view> {
    auto format(stackrig::Pfn p, fmt::format_context& ctx) const {
        return fmt::format_to(ctx.out(), "{:#x}", p.value());
    }
};
template <>
struct fmt::formatter<stackrig::Vector> : fmt::formatter<std::string_view> {
    auto format(stackrig::Vector v, fmt::format_context& ctx) const {
        return fmt::format_to(ctx.out(), "{:#04x}", v.value());
    }
};
template <>
struct fmt::formatter<stackrig::CpuId> : fmt::formatter<std::string_view> {
    auto format(stackrig::CpuId c, fmt::format_context& ctx) const {
        return fmt::format_to(ctx.out(), "cpu{}", c.value());
    }
};
template <class Tag>
struct std::hash<stackrig::Address<Tag>> {
    std::size_t operator()(stackrig::Address<Tag> a) const noexcept { return std::hash<std::uint64_t>{}(a.value()); }
};
