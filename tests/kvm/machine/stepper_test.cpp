// The stepper against the static listing: every boundary, none twice, and nothing of the rig left in the guest.
#include <algorithm>
#include <fmt/format.h>

#include "tests/kvm/machine/guest.hpp"
#include "vmm/host/steps_path.hpp"

namespace stackrig::test {
namespace {

using machine::Entered;
using machine::Exited;
using machine::Halted;
using machine::Retired;
using machine::Stepper;
using machine::StepStop;

using StepperTest = KvmTest;

/// `visited` without the extra stop that a host may make at a REP whose count is used up.
std::vector<Gva> without_optional(const std::vector<Gva>& visited, const host::StepsPath& expected) {
    std::vector<Gva> kept;
    for (const Gva at : visited) {
        const bool surplus = kept.size() < expected.boundaries.size() && at != expected.boundaries[kept.size()] && !kept.empty() && kept.back() == at &&
                             std::find(expected.repeats.begin(), expected.repeats.end(), at) != expected.repeats.end();
        if (!surplus) {
            kept.push_back(at);
        }
    }
    return kept;
}

TEST_F(StepperTest, EveryBoundaryOfTheListingIsVisitedInOrder) {
    StepsGuest guest;
    Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
    std::vector<Gva> visited;
    const Gva end = StepsGuest::symbol("the_end") + 1;
    for (int i = 0; i < 1000 && guest.rip() != end; ++i) {
        const StepStop stop = guest.step(stepper);
        visited.push_back(stop.from);
        EXPECT_FALSE(stop.skipped) << "behind " << stop.instruction.text << " at " << StepsGuest::where(stop.from);
    }
    const host::StepsPath expected = must(host::steps_path(StepsGuest::elf()));
    visited = without_optional(visited, expected);
    for (std::size_t i = 0; i < std::min(visited.size(), expected.boundaries.size()); ++i) {
        ASSERT_EQ(visited[i], expected.boundaries[i]) << "step " << i << " is at " << StepsGuest::where(visited[i]) << " instead of "
                                                << StepsGuest::where(expected.boundaries[i]);
    }
    EXPECT_EQ(visited.size(), expected.boundaries.size());
    EXPECT_FALSE(guest.trap_flag_was_seen());
    EXPECT_EQ(guest.value("dbs"), 1u) << "the guest's own trap flag, and no other";
    EXPECT_EQ(guest.value("int80s"), 2u);
    EXPECT_EQ(guest.value("int3s"), 1u);
    EXPECT_EQ(guest.value("uds"), 1u);
    EXPECT_EQ(guest.value("pfs"), 1u);
    EXPECT_EQ(guest.value("syscalls"), 1u);
    EXPECT_EQ(guest.value<std::uint8_t>("answer"), StepsGuest::in_answer);
}

// Whatever the stepper writes (HLTs, TF in pushed words, R11) must be gone: any difference is a guest that was changed by being
// watched.
TEST_F(StepperTest, AfterSteppingTheGuestIsAsAfterRunningFreely) {
    StepsGuest free;
    free.run_to_end();
    StepsGuest stepped;
    {
        Stepper stepper = must(Stepper::create(stepped.machine(), cpu0));
        const Gva end = StepsGuest::symbol("the_end") + 1;
        for (int i = 0; i < 1000 && stepped.rip() != end; ++i) {
            stepped.step(stepper);
        }
    }
    EXPECT_EQ(must(stepped.vcpu().regs()), must(free.vcpu().regs()));
    const auto one = stepped.machine().memory().bytes();
    const auto two = free.machine().memory().bytes();
    const auto [a, b] = std::mismatch(one.begin(), one.end(), two.begin(), two.end());
    EXPECT_EQ(a, one.end()) << "RAM differs at " << StepsGuest::where(Gva(static_cast<std::uint64_t>(a - one.begin()))) << ": "
                            << static_cast<int>(*a) << " instead of " << static_cast<int>(*b);
}

TEST_F(StepperTest, EachKindOfStopIsNamed) {
    StepsGuest guest;
    guest.run_to("kernel_int80");
    Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
    StepStop stop = guest.step(stepper);
    ASSERT_TRUE(std::holds_alternative<Entered>(stop.what));
    EXPECT_EQ(std::get<Entered>(stop.what).vector, Vector(0x80));
    EXPECT_EQ(stop.rip, StepsGuest::symbol("int80_handler"));
    guest.step_to(stepper, "kernel_out");
    guest.step(stepper);
    stop = guest.step(stepper);
    ASSERT_TRUE(std::holds_alternative<Exited>(stop.what));
    EXPECT_EQ(std::get<Exited>(stop.what).exit, kvm::Exit(kvm::IoOut{0x80, 1, 1, 0x41, {}}));
    EXPECT_EQ(stop.rip, StepsGuest::symbol("kernel_in")) << "the OUT is over";
    stop = guest.step(stepper);
    ASSERT_TRUE(std::holds_alternative<Exited>(stop.what));
    EXPECT_EQ(stop.rip, StepsGuest::symbol("kernel_in")) << "the IN was not answered yet";
    guest.step_to(stepper, "kernel_hlt");
    stop = guest.step(stepper);
    EXPECT_TRUE(std::holds_alternative<Halted>(stop.what));
    EXPECT_EQ(stop.rip, StepsGuest::symbol("kernel_to_user"));
    stop = guest.step(stepper);
    EXPECT_TRUE(std::holds_alternative<Retired>(stop.what));
    EXPECT_EQ(stop.instruction.text, "cli");
}

TEST_F(StepperTest, TheShadowsOfStiAndMovSsAreThereAtTheirBoundaryAndNowhereElse) {
    StepsGuest guest;
    guest.run_to("kernel_part");
    Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
    const auto shadow_at = [&](const char* name) {
        guest.step_to(stepper, name);
        return must(guest.vcpu().interrupt_shadow()) != 0;
    };
    EXPECT_FALSE(shadow_at("kernel_sti"));
    EXPECT_TRUE(shadow_at("kernel_sti_shadow"));
    EXPECT_FALSE(shadow_at("kernel_interruptible"));
    EXPECT_FALSE(shadow_at("kernel_second_sti_behind")) << "IF was set already";
    EXPECT_FALSE(shadow_at("kernel_behind_popf"));
    EXPECT_FALSE(shadow_at("kernel_mov_ss"));
    EXPECT_TRUE(shadow_at("kernel_mov_ss_shadow"));
    EXPECT_FALSE(shadow_at("kernel_rep"));
}

TEST_F(StepperTest, AfterTheStepperIsGoneTheGuestRunsThroughItsEntries) {
    StepsGuest guest;
    { const Stepper stepper = must(Stepper::create(guest.machine(), cpu0)); }
    guest.run_to("kernel_int80");
    {
        Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
        guest.step(stepper);
    }
    guest.run_to_end();
    EXPECT_EQ(guest.value("int80s"), 2u);
    EXPECT_FALSE(guest.trap_flag_was_seen());
}

// Whoever moves an entry from under the stepper, to a HLT of the guest's own: where it ends is no place the stepper knows.
TEST_F(StepperTest, AHltThatIsNeitherTheInstructionsNorTheRigsIsAnErrorThatNamesBoth) {
    StepsGuest guest;
    guest.run_to("kernel_int80");
    Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
    constexpr std::uint64_t gate_bytes = 16;
    const Gpa gate = Gpa(StepsGuest::symbol("idt").value()) + 0x80 * gate_bytes;
    const std::uint64_t halt = StepsGuest::symbol("kernel_hlt").value();
    must(guest.machine().memory().write(gate, static_cast<std::uint16_t>(halt)));
    must(guest.machine().memory().write(gate + 6, static_cast<std::uint16_t>(halt >> 16)));
    EXPECT_EQ(error_of(stepper.step(ample)),
              fmt::format("stepping over \"int 0x80\" at {} ended in a HLT at {}, which is neither its own nor the rig's",
                          StepsGuest::symbol("kernel_int80"), StepsGuest::symbol("kernel_hlt")));
}

}  // namespace
}  // namespace stackrig::test
