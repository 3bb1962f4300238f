// Building a guest, and reading it through its own page tables.
#include <fmt/format.h>

#include "tests/kvm/machine/guest.hpp"

#include "vmm/machine/address_space.hpp"

namespace stackrig::test {
namespace {

using machine::AddressSpace;

using MachineTest = KvmTest;

TEST_F(MachineTest, TheGuestStartsInProtectedModeWithItsParametersInEbx) {
    StepsGuest guest;
    EXPECT_EQ(guest.rip(), StepsGuest::symbol("entry"));
    const auto sregs = must(guest.vcpu().sregs());
    EXPECT_EQ(sregs.cr0 & 0x80000001, 1u) << "PE without PG";
    guest.run_to_end();
    EXPECT_EQ(guest.value<std::uint64_t>("boot_params_at"), StepsGuest::boot_params_at);
}

TEST_F(MachineTest, AnImageThatDoesNotFitIsRefusedWithTheNumbers) {
    static constexpr std::byte bytes[16]{};
    machine::MachineOptions options{.ram_bytes = 1u << 20, .image = {{Gpa(0xffff8), bytes, 16}}, .boot_params_at = Gpa(0), .boot_params = bytes};
    EXPECT_EQ(error_of(machine::Machine::create(system(), options)),
              "the guest's segment at 0xffff8, 0x10 bytes, does not fit into 0x100000 bytes of RAM: give the guest more RAM");
    options.image[0].memory_bytes = ~std::uint64_t{0};
    options.image[0].at = Gpa(8);
    EXPECT_FALSE(machine::Machine::create(system(), options)) << "8 + ~0 wraps around";
}

TEST_F(MachineTest, AddressesAreThoseOfTheCpuAndItsPageTables) {
    StepsGuest guest;
    EXPECT_EQ(must(guest.machine().physical(cpu0, Gva(0xfffffff0))), Gpa(0xfffffff0)) << "no paging yet";
    guest.run_to("kernel_part");
    EXPECT_EQ(must(guest.machine().physical(cpu0, Gva(0x400123))), Gpa(0x400123));
    EXPECT_EQ(error_of(guest.machine().physical(cpu0, Gva(0x600000))),
              fmt::format("address 0x600000 is not mapped under the page table at {}: not present at level 2",
                          Gpa(must(guest.vcpu().sregs()).cr3)));
    const AddressSpace space = must(guest.machine().address_space(cpu0));
    std::array<std::byte, 16> bytes;
    EXPECT_EQ(space.read_some(Gva(0x600000 - 6), bytes), 6u) << "up to the end of the mapped page";
    EXPECT_TRUE(space.read(Gva(0x400ff8), bytes));
    EXPECT_TRUE(space.write(guest.machine().memory(), Gva(0x40fff8), std::span<const std::byte>(bytes)));
    EXPECT_EQ(must(guest.machine().memory().read<std::array<std::byte, 16>>(Gpa(0x40fff8))), bytes);
    EXPECT_FALSE(space.write(guest.machine().memory(), Gva(0x5ffff8), std::span<const std::byte>(bytes))) << "half of it is not mapped";
}

}  // namespace
}  // namespace stackrig::test
