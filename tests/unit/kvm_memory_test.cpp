// Guest RAM: the range check at its edges, and the record of what the host wrote.
#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "vmm/kvm/memory.hpp"

namespace stackrig::kvm {
namespace {

constexpr Gpa base{0x10000};

Memory three_pages() {
    auto memory = Memory::create(base, 3 * page_size);
    EXPECT_TRUE(memory) << memory.error().text;
    return std::move(*memory);
}

TEST(Memory, ReadsBackWhatWasWrittenAndStartsZeroed) {
    Memory memory = three_pages();
    EXPECT_EQ(memory.read<std::uint64_t>(base).value(), 0U);
    ASSERT_TRUE(memory.write(base + 5, std::uint64_t{0x1122334455667788}));
    EXPECT_EQ(memory.read<std::uint64_t>(base + 5).value(), 0x1122334455667788U);
    EXPECT_EQ(memory.read<std::uint8_t>(base + 5).value(), 0x88) << "little-endian";
}

TEST(Memory, OfASpanOfFixedLengthTheBytesAreWrittenNotThePointer) {
    Memory memory = three_pages();
    const std::array<std::uint8_t, 4> bytes{1, 2, 3, 4};
    ASSERT_TRUE(memory.write(base, std::as_bytes(std::span(bytes))));
    EXPECT_EQ(memory.read<std::uint64_t>(base).value(), 0x04030201U);
}

TEST(Memory, TheLastByteIsInAndTheNextIsOut) {
    Memory memory = three_pages();
    const Gpa end = base + memory.size();
    EXPECT_TRUE(memory.read<std::uint64_t>(end - 8));
    EXPECT_FALSE(memory.read<std::uint64_t>(end - 7));
    EXPECT_FALSE(memory.write(end, std::uint8_t{1}));
    EXPECT_FALSE(memory.read<std::uint8_t>(base - 1)) << "below the base must not wrap around";
    EXPECT_TRUE(memory.contains(end, 0));
    EXPECT_FALSE(memory.contains(base + 1, std::numeric_limits<std::size_t>::max())) << "length overflow";
    EXPECT_FALSE(memory.contains(Gpa(std::numeric_limits<std::uint64_t>::max()), 1));
}

TEST(Memory, AFailedAccessNamesTheRangeAndWritesNothing) {
    Memory memory = three_pages();
    const std::array<std::byte, 8> ones{std::byte{1}, std::byte{1}};
    const auto failed = memory.write(base + 3 * page_size - 4, std::span<const std::byte>(ones));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().text,
              "guest memory write: 8 bytes at 0x12ffc lie outside of RAM [0x10000, 0x13000).");
    EXPECT_EQ(memory.read<std::uint32_t>(base + 3 * page_size - 4).value(), 0U);
    EXPECT_EQ(memory.host_written()[0], 0U);
}

TEST(Memory, RecordsEveryPageAWriteTouches) {
    Memory memory = three_pages();
    ASSERT_TRUE(memory.write(base + 2 * page_size - 1, std::uint16_t{1}));
    EXPECT_EQ(memory.host_written()[0], 0b110U) << "a write across a page border dirties both";
    memory.forget_host_written();
    EXPECT_EQ(memory.host_written()[0], 0U);
    ASSERT_TRUE(memory.write(base, std::span<const std::byte>()));
    EXPECT_EQ(memory.host_written()[0], 0U) << "an empty write dirties nothing";
}

TEST(Memory, RefusesRangesThatAreNotWholePages) {
    const auto error = [](Gpa at, std::size_t bytes) { return Memory::create(at, bytes).error().text; };
    EXPECT_EQ(error(Gpa(0x10), page_size), "guest memory: base 0x10 and size 0x1000 must be whole pages and not wrap.");
    EXPECT_EQ(error(Gpa(0), page_size + 1), "guest memory: base 0x0 and size 0x1001 must be whole pages and not wrap.");
    EXPECT_EQ(error(Gpa(0), 0), "guest memory: base 0x0 and size 0x0 must be whole pages and not wrap.");
    EXPECT_EQ(error(Gpa(0xfffffffffffff000), 2 * page_size),
              "guest memory: base 0xfffffffffffff000 and size 0x2000 must be whole pages and not wrap.");
}

TEST(Memory, MoreThanTheHostHasIsAnErrorOfTheHostThatSaysForWhatItWas) {
    const auto memory = Memory::create(Gpa(0), std::size_t{1} << 60);
    ASSERT_FALSE(memory);
    EXPECT_EQ(memory.error().kind, ErrorKind::host);
    EXPECT_EQ(memory.error().text, "mmap: ENOMEM (Cannot allocate memory) for 1152921504606846976 bytes of guest memory: give the guest less, "
                                   "or the host more.");
}

TEST(Mapping, OfADescriptorThatCannotBeMappedIsAnError) {
    const auto mapping = Mapping::of_fd(-1, 3 * page_size);
    ASSERT_FALSE(mapping);
    EXPECT_EQ(mapping.error().kind, ErrorKind::rig);
    EXPECT_EQ(mapping.error().text, "mmap: EBADF (Bad file descriptor) for 12288 bytes of a vCPU's shared page.");
}

}  // namespace
}  // namespace stackrig::kvm
