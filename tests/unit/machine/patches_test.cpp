// Who sees which byte, when several parties patch one address.
#include <gtest/gtest.h>

#include "vmm/machine/patches.hpp"

namespace stackrig::machine {
namespace {

class PatchesTest : public testing::Test {
  protected:
    void SetUp() override { ASSERT_TRUE(memory.write(at, std::uint8_t{0x55})); }
    [[nodiscard]] int guest_sees() const { return *memory.read<std::uint8_t>(at); }
    [[nodiscard]] int reader_sees() const { return *patches.read_as<std::uint8_t>(at); }

    static constexpr Gpa at{0x123};
    kvm::Memory memory = std::move(*kvm::Memory::create(Gpa(0), 2 * page_size));
    Patches patches{memory};
};

TEST_F(PatchesTest, TheLastOfSeveralPartiesRestoresTheOriginal) {
    ASSERT_TRUE(patches.place(at, opcode_hlt));
    ASSERT_TRUE(patches.place(at, opcode_hlt));
    EXPECT_EQ(guest_sees(), opcode_hlt);
    EXPECT_EQ(reader_sees(), 0x55);
    ASSERT_TRUE(patches.lift(at));
    EXPECT_EQ(guest_sees(), opcode_hlt) << "one party still wants it";
    ASSERT_TRUE(patches.lift(at));
    EXPECT_EQ(guest_sees(), 0x55);
    EXPECT_FALSE(patches.contains(at));
    EXPECT_EQ(patches.lift(at).error().text, "no patch to lift at 0x123");
}

TEST_F(PatchesTest, BytesAreShownInPlaceUnlessAPatchLiesAmongThem) {
    ASSERT_TRUE(patches.place(at, opcode_hlt));
    EXPECT_FALSE(patches.in_place(at, 1));
    EXPECT_FALSE(patches.in_place(at - 3, 4));
    EXPECT_FALSE(patches.in_place(Gpa(2 * page_size - 1), 2)) << "outside RAM";
    const auto before = patches.in_place(at - 3, 3);
    const auto behind = patches.in_place(at + 1, 8);
    ASSERT_TRUE(before && behind);
    EXPECT_EQ(before->data() + 4, behind->data());
    ASSERT_TRUE(patches.lift(at));
    ASSERT_TRUE(patches.in_place(at, 1));
    EXPECT_EQ(patches.in_place(at, 1)->front(), std::byte{0x55});
}

TEST_F(PatchesTest, TwoOpcodesAtOneAddressAreRefused) {
    ASSERT_TRUE(patches.place(at, opcode_hlt));
    const auto refused = patches.place(at, opcode_int3);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().text, "the byte at 0x123 is patched already, with 0xf4");
    EXPECT_EQ(guest_sees(), opcode_hlt);
    ASSERT_TRUE(patches.lift(at));
    EXPECT_TRUE(patches.place(at, opcode_int3)) << "free again";
}

// Stepping over a breakpoint that two parties hold needs the guest's own byte for one instruction, whoever comes and goes then.
TEST_F(PatchesTest, TheOriginalCanBeShownUnderAPatch) {
    ASSERT_TRUE(patches.place(at, opcode_hlt));
    ASSERT_TRUE(patches.place(at, opcode_hlt));
    {
        const auto shown = patches.show_original(at);
        ASSERT_TRUE(shown);
        EXPECT_EQ(guest_sees(), 0x55);
        ASSERT_TRUE(patches.lift(at));
        EXPECT_EQ(guest_sees(), 0x55);
    }
    EXPECT_EQ(guest_sees(), opcode_hlt) << "the other party's patch is back";
}

TEST_F(PatchesTest, AShownByteHidesThePatchAndGoesAwayWithItsHolder) {
    ASSERT_TRUE(patches.place(at, opcode_hlt));
    {
        const auto shown = patches.show(at, opcode_int3);
        ASSERT_TRUE(shown);
        EXPECT_EQ(guest_sees(), opcode_int3);
        EXPECT_EQ(reader_sees(), 0x55);
        const auto second = patches.show(at, opcode_hlt);
        ASSERT_FALSE(second) << "one at a time";
        EXPECT_EQ(second.error().text, "the byte at 0x123 is shown as 0xcc already");
    }
    EXPECT_EQ(guest_sees(), opcode_hlt);
}

TEST_F(PatchesTest, ShownWithoutAPatchTheOriginalComesBack) {
    {
        const auto shown = patches.show(at, opcode_int3);
        EXPECT_EQ(guest_sees(), opcode_int3);
        EXPECT_EQ(reader_sees(), 0x55);
    }
    EXPECT_EQ(guest_sees(), 0x55);
    EXPECT_FALSE(patches.contains(at));
}

TEST_F(PatchesTest, ReadersSeeOriginalsInEveryByteOfARange) {
    for (const std::uint64_t offset : {0x120u, 0x123u, 0x127u, 0x128u}) {
        ASSERT_TRUE(memory.write(Gpa(offset), static_cast<std::uint8_t>(offset)));
        ASSERT_TRUE(patches.place(Gpa(offset), opcode_hlt));
    }
    EXPECT_EQ(patches.read_as<std::uint64_t>(Gpa(0x120)), 0x2700000023000020u);
    EXPECT_FALSE(patches.read_as<std::uint64_t>(Gpa(2 * page_size - 4)).has_value()) << "half of it lies outside";
}

// The rig's bytes are none of the guest's state: a snapshot must not take them for it, and a restore must know the pages.
TEST_F(PatchesTest, PatchedPagesAreKnownAndNotRecordedAsWritten) {
    memory.forget_host_written();
    ASSERT_TRUE(patches.place(Gpa(0x1008), opcode_hlt));
    EXPECT_TRUE(patches.on_page(1));
    EXPECT_FALSE(patches.on_page(0));
    ASSERT_TRUE(patches.lift(Gpa(0x1008)));
    EXPECT_FALSE(patches.on_page(1));
    EXPECT_EQ(memory.host_written()[0], 0u);
}

TEST_F(PatchesTest, OutsideRamIsAnError) {
    EXPECT_FALSE(patches.place(Gpa(2 * page_size), opcode_hlt));
    EXPECT_FALSE(patches.show_original(Gpa(~std::uint64_t{0})));
}

}  // namespace
}  // namespace stackrig::machine
