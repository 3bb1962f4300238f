// Places in the kernel by HLT, and that they leave no trace.
#include <cstring>

#include "tests/kvm/machine/guest.hpp"
#include "vmm/machine/breakpoints.hpp"
#include "vmm/machine/deliver.hpp"

namespace stackrig::test {
namespace {

using machine::Breakpoints;
using machine::BreakpointStop;

using BreakpointsTest = KvmTest;

BreakpointStop run(Breakpoints& breakpoints) { return must(breakpoints.run(cpu0, ample)); }

TEST_F(BreakpointsTest, EachPassageIsHitOnceBeforeTheInstructionRuns) {
    StepsGuest guest;
    Breakpoints breakpoints(guest.machine());
    must(breakpoints.set_only({StepsGuest::symbol("int80_handler")}));
    for (unsigned passage = 0; passage < 2; ++passage) {
        for (;;) {
            const BreakpointStop stop = run(breakpoints);
            if (stop.hit) {
                EXPECT_EQ(*stop.hit, StepsGuest::symbol("int80_handler"));
                break;
            }
            if (std::holds_alternative<kvm::IoIn>(stop.exit)) {
                must(guest.vcpu().complete_io_in(StepsGuest::in_answer));
            }
        }
        EXPECT_EQ(guest.rip(), StepsGuest::symbol("int80_handler"));
        EXPECT_EQ(guest.value("int80s"), passage);
    }
    must(breakpoints.clear());
    guest.run_to_end();
    EXPECT_EQ(guest.value("int80s"), 2u);
}

// Completed I/O ends with RIP on the next instruction: a breakpoint there has not been hit yet.
TEST_F(BreakpointsTest, APlaceRightBehindAnExitIsHitOnce) {
    StepsGuest guest;
    Breakpoints breakpoints(guest.machine());
    must(breakpoints.set_only({StepsGuest::symbol("kernel_in"), StepsGuest::symbol("kernel_behind_in"), StepsGuest::symbol("kernel_to_user")}));
    EXPECT_TRUE(std::holds_alternative<kvm::IoOut>(run(breakpoints).exit));
    EXPECT_EQ(run(breakpoints).hit, StepsGuest::symbol("kernel_in"));
    EXPECT_TRUE(std::holds_alternative<kvm::IoIn>(run(breakpoints).exit));
    must(guest.vcpu().complete_io_in(StepsGuest::in_answer));
    EXPECT_EQ(run(breakpoints).hit, StepsGuest::symbol("kernel_behind_in"));
    const BreakpointStop halt = run(breakpoints);
    EXPECT_FALSE(halt.hit);
    EXPECT_EQ(halt.exit, kvm::Exit(kvm::Hlt{}));
    EXPECT_EQ(run(breakpoints).hit, StepsGuest::symbol("kernel_to_user"));
    EXPECT_FALSE(run(breakpoints).hit);
    EXPECT_EQ(guest.rip(), StepsGuest::symbol("the_end") + 1) << "hit once, then stepped off";
}

// Whoever delivers an event has seen its handler: the exit before must not make a breakpoint there news.
TEST_F(BreakpointsTest, AHandlerThatAnEventWasDeliveredToAfterAnExitIsNotHitAgain) {
    StepsGuest guest;
    guest.run_to("kernel_out");
    Breakpoints breakpoints(guest.machine());
    must(breakpoints.set_only({StepsGuest::symbol("nmi_handler"), StepsGuest::symbol("kernel_to_user")}));
    EXPECT_TRUE(std::holds_alternative<kvm::IoOut>(run(breakpoints).exit));
    EXPECT_TRUE(must(machine::deliver(guest.machine(), cpu0, {.how = machine::Delivery::nmi}, ample)).exact);
    EXPECT_EQ(guest.rip(), StepsGuest::symbol("nmi_handler"));
    const BreakpointStop stop = run(breakpoints);
    EXPECT_FALSE(stop.hit) << StepsGuest::where(*stop.hit);
    EXPECT_TRUE(std::holds_alternative<kvm::IoIn>(stop.exit));
    EXPECT_EQ(guest.value("nmis"), 1u);
}

TEST_F(BreakpointsTest, APlaceThatTheCpuStandsAtAlreadyIsNotHit) {
    StepsGuest guest;
    guest.run_to("kernel_int80");
    Breakpoints breakpoints(guest.machine());
    must(breakpoints.set_only({StepsGuest::symbol("kernel_int80"), StepsGuest::symbol("kernel_int3")}));
    EXPECT_EQ(run(breakpoints).hit, StepsGuest::symbol("kernel_int3"));
}

// A breakpoint on each of these must be stepped over by the stepper's rules: with a bare trap flag PUSHFQ
// stores TF, INT and a fault push it, and the guest would trap on it later.
TEST_F(BreakpointsTest, SteppingOffAnyInstructionLeavesNoTrace) {
    StepsGuest free;
    free.run_to_end();
    for (const char* place : {"kernel_part", "kernel_sti", "kernel_sti_shadow", "kernel_mov_ss", "kernel_rep",
                              "kernel_int80", "kernel_int3", "kernel_out", "kernel_in", "kernel_hlt",
                              "kernel_to_user", "syscall_entry", "pf_handler"}) {
        StepsGuest guest;
        guest.run_to(place);
        Breakpoints breakpoints(guest.machine());
        must(breakpoints.set_only({StepsGuest::symbol(place)}));
        BreakpointStop stop = run(breakpoints);
        if (std::holds_alternative<kvm::IoIn>(stop.exit)) {
            must(guest.vcpu().complete_io_in(StepsGuest::in_answer));
        }
        must(breakpoints.clear());
        guest.run_to_end();
        EXPECT_FALSE(guest.trap_flag_was_seen()) << place;
        const auto one = guest.machine().memory().bytes();
        const auto two = free.machine().memory().bytes();
        EXPECT_EQ(std::memcmp(one.data(), two.data(), one.size()), 0) << place;
    }
}

TEST_F(BreakpointsTest, ReadersSeeTheGuestsOwnBytes) {
    StepsGuest guest;
    const Gpa at(StepsGuest::symbol("kernel_part").value());
    const auto own = must(guest.machine().memory().read<std::uint64_t>(at));
    Breakpoints breakpoints(guest.machine());
    must(breakpoints.set_only({StepsGuest::symbol("kernel_part")}));
    EXPECT_NE(must(guest.machine().memory().read<std::uint64_t>(at)), own);
    EXPECT_EQ(guest.machine().clean_memory().read_as<std::uint64_t>(at), own);
    must(breakpoints.clear());
    EXPECT_EQ(must(guest.machine().memory().read<std::uint64_t>(at)), own);
}

TEST_F(BreakpointsTest, OthersTakeThePlaceOfThoseThatAreNotWantedAnyMore) {
    StepsGuest guest;
    Breakpoints breakpoints(guest.machine());
    const auto patched = [&](const char* place) {
        const Gpa at(StepsGuest::symbol(place).value());
        return must(guest.machine().memory().read<std::uint8_t>(at)) != guest.machine().clean_memory().read_as<std::uint8_t>(at);
    };
    const Gva in = StepsGuest::symbol("kernel_in");
    const Gva out = StepsGuest::symbol("kernel_out");
    must(breakpoints.set_only({out, in, out}));
    EXPECT_TRUE(patched("kernel_in") && patched("kernel_out"));
    must(breakpoints.set_only({in, StepsGuest::symbol("kernel_part")}));
    EXPECT_TRUE(patched("kernel_in") && patched("kernel_part"));
    EXPECT_FALSE(patched("kernel_out"));
    EXPECT_TRUE(breakpoints.at(in));
    EXPECT_FALSE(breakpoints.at(out));
    must(breakpoints.clear());
    EXPECT_FALSE(patched("kernel_in") || patched("kernel_part"));
}

TEST_F(BreakpointsTest, TheGuestsOwnHltIsNoBreakpoint) {
    StepsGuest guest;
    guest.run_to("kernel_out");
    Breakpoints breakpoints(guest.machine());
    must(breakpoints.set_only({StepsGuest::symbol("syscall_entry")}));
    run(breakpoints);
    EXPECT_TRUE(std::holds_alternative<kvm::IoIn>(run(breakpoints).exit));
    must(guest.vcpu().complete_io_in(0));
    const BreakpointStop stop = run(breakpoints);
    EXPECT_FALSE(stop.hit);
    EXPECT_EQ(stop.exit, kvm::Exit(kvm::Hlt{}));
    EXPECT_EQ(guest.rip(), StepsGuest::symbol("kernel_to_user"));
}

}  // namespace
}  // namespace stackrig::test
