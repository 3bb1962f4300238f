// What is taken away from the guest's CPUs, and nothing besides.
#include <gtest/gtest.h>

#include "vmm/machine/cpuid.hpp"

namespace stackrig::machine {
namespace {

kvm::CpuidEntry full(std::uint32_t function, std::uint32_t index) {
    return {.function = function, .index = index, .eax = ~0u, .ebx = ~0u, .ecx = ~0u, .edx = ~0u};
}

TEST(Cpuid, PcidsAreTakenAwayAndNothingElse) {
    const auto left = without_pcids({full(0, 0), full(1, 0), full(7, 0), full(7, 1), full(0x80000001, 0)});
    kvm::CpuidEntry no_pcid = full(1, 0);
    no_pcid.ecx = 0xfffdffff;
    kvm::CpuidEntry no_invpcid = full(7, 0);
    no_invpcid.ebx = 0xfffffbff;
    EXPECT_EQ(left, (std::vector{full(0, 0), no_pcid, no_invpcid, full(7, 1), full(0x80000001, 0)}));
}

}  // namespace
}  // namespace stackrig::machine
