// Pointers and stack pointers: borders are where mistakes are.
#include "vmm/oracle/address.hpp"

#include <gtest/gtest.h>

namespace stackrig::oracle {
namespace {

using Where = StackPointer::Where;
constexpr std::uint64_t ram = 8u << 20;

TEST(GpaOf, BothMapsAndTheirEnds) {
    EXPECT_EQ(gpa_of(abi::direct_map_base + 0x1000, 8, 8, ram), Gpa(0x1000));
    EXPECT_EQ(gpa_of(abi::kernel_map_base + 0x1000, 8, 8, ram), Gpa(0x1000));
    EXPECT_EQ(gpa_of(abi::direct_map_base + ram - 8, 8, 8, ram), Gpa(ram - 8));
    EXPECT_FALSE(gpa_of(abi::direct_map_base + ram - 8, 16, 8, ram));
    EXPECT_FALSE(gpa_of(abi::direct_map_base + ram, 8, 8, ram));
    EXPECT_FALSE(gpa_of(abi::direct_map_base + 0x1001, 8, 8, ram));
    EXPECT_FALSE(gpa_of(0, 8, 8, ram));
    EXPECT_FALSE(gpa_of(0x1000, 8, 8, ram));
    EXPECT_FALSE(gpa_of(~std::uint64_t{7}, 8, 8, ram));
    EXPECT_FALSE(gpa_of(abi::direct_map_base, ~std::uint64_t{0}, 8, ram));
}

TEST(Locate, PagesOfAStack) {
    const std::uint64_t top = abi::stack_top(5);
    const auto at = [&](std::uint64_t depth) { return locate(Gva(top - depth)); };
    EXPECT_EQ(at(0).where, Where::thread_stack);
    EXPECT_EQ(at(0).slot, SlotId(5));
    EXPECT_EQ(at(0).depth, 0u);
    EXPECT_EQ(at(8).page, 0);
    EXPECT_EQ(at(4096).page, 0);
    EXPECT_EQ(at(4096).depth, 4096u);
    EXPECT_EQ(at(4104).page, 1);
    EXPECT_EQ(at(16384).page, 3);
    EXPECT_EQ(at(16384).where, Where::thread_stack);
    EXPECT_EQ(at(16392).where, Where::guard);
    EXPECT_EQ(at(16392).slot, SlotId(5));
    EXPECT_EQ(at(abi::stack_slot_size).slot, SlotId(4));  // the next stack's empty top
}

TEST(Locate, FaultAddressesAreBytesNotTops) {
    EXPECT_EQ(locate_access(Gva(abi::stack_top(5)))->where, Where::guard);
    EXPECT_EQ(locate_access(Gva(abi::stack_top(5)))->slot, SlotId(6));
    EXPECT_EQ(locate_access(Gva(abi::stack_page(5, 2)))->page, 2);
    EXPECT_EQ(locate_access(Gva(abi::stack_page(5, 2) + 4095))->page, 2);
    EXPECT_FALSE(locate_access(Gva(abi::user_text_va)));
}

TEST(Locate, CpuStacksAndTheRest) {
    const auto nmi = locate(Gva(abi::cpu_stack_top(1, abi::CpuStack::nmi) - 40));
    EXPECT_EQ(nmi.where, Where::cpu_stack);
    EXPECT_EQ(nmi.stack, abi::CpuStack::nmi);
    EXPECT_EQ(nmi.cpu, CpuId(1));
    EXPECT_EQ(nmi.depth, 40u);
    EXPECT_EQ(locate(Gva(abi::cpu_stack_top(1, abi::CpuStack::nmi))).stack, abi::CpuStack::nmi);
    EXPECT_EQ(locate(Gva(abi::cpu_stack_top(1, abi::CpuStack::nmi) + 8)).where,
              Where::elsewhere);  // a guard page
    EXPECT_EQ(locate(Gva(0x7ffff000)).where, Where::user);
    EXPECT_EQ(locate(Gva(0)).where, Where::user);
    EXPECT_EQ(locate(Gva(abi::kernel_map_base + 0x5000)).where, Where::kernel_image);
    EXPECT_EQ(locate(Gva(abi::direct_map_base + 0x5000)).where, Where::elsewhere);
}

}  // namespace
}  // namespace stackrig::oracle
