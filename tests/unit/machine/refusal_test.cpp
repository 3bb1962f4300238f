// When the CPU would not take an event at the boundary it stands at, and the word for why not.
#include <gtest/gtest.h>

#include "vmm/machine/deliver.hpp"
#include "vmm/x86/descriptors.hpp"

namespace stackrig::machine {
namespace {

constexpr std::uint64_t interrupts_on = x86::rflags::interrupt;

kvm::Events in_shadow(std::uint8_t shadow) {
    kvm::Events events;
    events.interrupt.shadow = shadow;
    return events;
}

TEST(Refusal, AnInterruptWaitsForIfAndForTheEndOfAShadow) {
    EXPECT_EQ(refusal(Delivery::interrupt, interrupts_on, {}), std::nullopt);
    EXPECT_EQ(refusal(Delivery::interrupt, 0, {}), "IF=0");
    EXPECT_EQ(refusal(Delivery::interrupt, interrupts_on, in_shadow(kvm::shadow_sti)), "in the shadow of STI");
    EXPECT_EQ(refusal(Delivery::interrupt, interrupts_on, in_shadow(kvm::shadow_mov_ss)), "in the shadow of MOV SS");
    EXPECT_EQ(refusal(Delivery::interrupt, interrupts_on, in_shadow(kvm::shadow_sti | kvm::shadow_mov_ss)), "in the shadow of STI or MOV SS");
}

TEST(Refusal, AnNmiWaitsForTheEndOfTheOneBeforeAndForNothingElse) {
    kvm::Events events = in_shadow(kvm::shadow_sti);
    EXPECT_EQ(refusal(Delivery::nmi, 0, events), std::nullopt);
    events.nmi.masked = 1;
    EXPECT_EQ(refusal(Delivery::nmi, 0, events), "NMIs are masked until the next IRET");
    EXPECT_EQ(refusal(Delivery::machine_check, 0, events), std::nullopt);
}

}  // namespace
}  // namespace stackrig::machine
