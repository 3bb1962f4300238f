// What is said of two states of a CPU that differ.
#include "vmm/machine/cpu_snapshot.hpp"

#include <gtest/gtest.h>

namespace stackrig::machine {
namespace {

TEST(CpuSnapshots, OfEqualOnesNothingIsSaid) { EXPECT_EQ(differences(CpuSnapshot{}, CpuSnapshot{}), ""); }

TEST(CpuSnapshots, EachDifferenceIsNamedWithBothValues) {
    const CpuSnapshot should_be;
    CpuSnapshot is;
    is.regs.r13 = 5;
    is.sregs.cr2 = 0x123;
    is.sregs.gs.selector = 0x10;
    is.sregs.gs.base = 0x99;
    is.sregs.idt.limit = 7;
    is.events.nmi.masked = 1;
    is.debug.db[1] = 4;
    EXPECT_EQ(differences(is, should_be), "r13 0x5 instead of 0x0, cr2 0x123 instead of 0x0, gs 0x10 base 0x99 instead of 0x0 base 0x0, "
                                          "GDTR, IDTR, the queued interrupt or APIC_BASE, NMI mask 0x1 instead of 0x0, debug registers");
}

TEST(CpuSnapshots, EventsWithoutAWordOfTheirOwnAreNamedTogether) {
    CpuSnapshot is;
    is.events.exception.injected = 1;
    EXPECT_EQ(differences(is, CpuSnapshot{}), "other pending events");
}

}  // namespace
}  // namespace stackrig::machine
