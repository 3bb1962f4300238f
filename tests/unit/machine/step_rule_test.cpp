// The stepper's table: which instruction is stepped over how, by privilege and by the guest's own trap flag.
#include <gtest/gtest.h>

#include "vmm/machine/stepper.hpp"

namespace stackrig::machine {
namespace {

using enum x86::InstructionClass;

TEST(StepRules, WhatClearsOrHidesTheTrapFlagIsNotSteppedWithIt) {
    for (const unsigned cpl : {0u, 3u}) {
        EXPECT_EQ(step_rule(syscall, cpl, false), StepRule::free);
        EXPECT_EQ(step_rule(int_n, cpl, false), StepRule::free);
        EXPECT_EQ(step_rule(hlt, cpl, false), StepRule::free);
        EXPECT_EQ(step_rule(io, cpl, false), StepRule::free);
        EXPECT_EQ(step_rule(pushf, cpl, false), StepRule::trap_store_flags);
        EXPECT_EQ(step_rule(popf, cpl, false), StepRule::trap_load_flags);
        EXPECT_EQ(step_rule(iret, cpl, false), StepRule::trap_load_flags);
        EXPECT_EQ(step_rule(rep_string, cpl, false), StepRule::trap);
        EXPECT_EQ(step_rule(entry_set, cpl, false), StepRule::trap);
        EXPECT_EQ(step_rule(other, cpl, false), StepRule::trap);
    }
    EXPECT_EQ(step_rule(sysret, 0, false), StepRule::trap_sysret);
}

// A HLT as fence is #GP in ring 3.
TEST(StepRules, FencesAreForTheKernelOnly) {
    EXPECT_EQ(step_rule(sti, 0, false), StepRule::fence);
    EXPECT_EQ(step_rule(mov_ss, 0, false), StepRule::fence);
    EXPECT_EQ(step_rule(sti, 3, false), StepRule::trap);
    EXPECT_EQ(step_rule(mov_ss, 3, false), StepRule::trap);
}

// KVM takes every #DB for itself while it steps: the guest's own one must be left to the guest.
TEST(StepRules, WithItsOwnTrapFlagTheGuestStepsItself) {
    for (const auto kind : {syscall, sysret, iret, popf, pushf, sti, mov_ss, int_n, hlt, io, rep_string, entry_set, other}) {
        EXPECT_EQ(step_rule(kind, 3, true), StepRule::free) << describe(kind);
    }
}

}  // namespace
}  // namespace stackrig::machine
