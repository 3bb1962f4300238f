// Addresses that lead nowhere, under page tables in a buffer.
#include "vmm/machine/address_space.hpp"

#include <gtest/gtest.h>

#include "tests/unit/x86/ram.hpp"
#include "vmm/x86/descriptors.hpp"

namespace stackrig::machine {
namespace {

constexpr std::uint64_t present = 3;  // and writable
constexpr std::uint64_t pages = 16;

/// A root at 0x1000 that leads by 0x2000 and 0x3000 to the page table at 0x4000.
class AddressSpaceTest : public testing::Test {
  protected:
    void SetUp() override {
        ram.write(Gpa(0x1000), 0x2000 | present);
        ram.write(Gpa(0x2000), 0x3000 | present);
        ram.write(Gpa(0x3000), 0x4000 | present);
        ram.write(Gpa(0x4000), 0x5000 | present);
    }
    [[nodiscard]] AddressSpace space() const {
        kvm::Sregs sregs;
        sregs.cr0 = x86::cr0::pg;
        sregs.cr3 = 0x1000;
        return AddressSpace(ram, sregs);
    }
    [[nodiscard]] std::string error_of_physical(Gva address) const {
        const auto found = space().physical(address);
        return found ? "(no error)" : found.error().text;
    }
    [[nodiscard]] std::string error_of_read(Gva address) const {
        const auto found = space().read<std::uint64_t>(address);
        return found ? "(no error)" : found.error().text;
    }
    x86::Ram ram{pages};
};

TEST_F(AddressSpaceTest, WhatIsNotMappedIsNamedWithTheTableAndTheLevelItEndsAt) {
    EXPECT_EQ(error_of_physical(Gva(0x10)), "(no error)");
    EXPECT_EQ(error_of_physical(Gva(0x1000)), "address 0x1000 is not mapped under the page table at 0x1000: not present at level 1");
    EXPECT_EQ(error_of_physical(Gva(1u << 30)), "address 0x40000000 is not mapped under the page table at 0x1000: not present at level 3");
    EXPECT_EQ(error_of_physical(Gva(1ULL << 48)), "address 0x1000000000000 is not mapped under the page table at 0x1000: not canonical");
}

TEST_F(AddressSpaceTest, ATableOrAPageOutsideRamIsSaidToBe) {
    ram.write(Gpa(0x2008), pages * page_size | present);
    EXPECT_EQ(error_of_physical(Gva(1u << 30)),
              "address 0x40000000 is not mapped under the page table at 0x1000: page table outside RAM at level 3");
    ram.write(Gpa(0x4000), pages * page_size | present);
    EXPECT_EQ(error_of_read(Gva(0x10)), "address 0x10 is mapped to 0x10010, outside RAM");
}

}  // namespace
}  // namespace stackrig::machine
