// Native delivery at every boundary of a system call, and the proof of where it hit.
#include <fmt/format.h>

#include "tests/kvm/machine/guest.hpp"
#include "vmm/machine/breakpoints.hpp"
#include "vmm/machine/deliver.hpp"

namespace stackrig::test {
namespace {

using machine::Delivery;
using machine::Landing;
using machine::NativeEvent;
using machine::Stepper;

using DeliverTest = KvmTest;

constexpr const char* round_trip_begin = "kernel_to_user";
constexpr const char* round_trip_end = "user_behind_fault";

constexpr const char* begin = "kernel_to_user";
constexpr const char* end = "user_behind_fault";

void expect_undisturbed(StepsGuest& guest) {
    guest.run_to_end();
    EXPECT_FALSE(guest.trap_flag_was_seen());
    EXPECT_EQ(guest.value("syscalls"), 1u);
    EXPECT_EQ(guest.value("int80s"), 2u);
    EXPECT_EQ(guest.value("pfs"), 1u);
    EXPECT_EQ(guest.value("dbs"), 1u);
}

/// From the way out to user mode through a SYSCALL, an INT 0x80 and a #PF and back: `at_boundary` is called at each boundary.
/// It may let the guest take an event, if it brings it back.
template <class AtBoundary>
void round_trip(StepsGuest& guest, AtBoundary at_boundary) {
    guest.run_to(begin);
    Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
    for (int i = 0; i < 1000 && guest.rip() != StepsGuest::symbol(end); ++i) {
        at_boundary(stepper);
        guest.step(stepper);
    }
    EXPECT_EQ(guest.rip(), StepsGuest::symbol(end));
}

bool in_shadow(StepsGuest& guest) { return must(guest.vcpu().interrupt_shadow()) != 0; }

/// Through the handler the guest stands at, and its IRETQ.
void finish_handler(StepsGuest& guest, Stepper& stepper) {
    for (int i = 0; i < 100; ++i) {
        if (guest.step(stepper).instruction.kind == x86::InstructionClass::iret) {
            return;
        }
    }
    ADD_FAILURE() << "the handler does not end";
}

TEST_F(DeliverTest, AnNmiLandsOnEveryBoundaryOfARoundTrip) {
    StepsGuest guest;
    unsigned injected = 0;
    unsigned late = 0;
    round_trip(guest, [&](Stepper& stepper) {
        const Gva boundary = guest.rip();
        const bool shadow = in_shadow(guest);
        ASSERT_FALSE(must(machine::refusal(guest.machine(), cpu0, Delivery::nmi))) << StepsGuest::where(boundary);
        const Landing landing = must(machine::deliver(guest.machine(), cpu0, {.how = Delivery::nmi}, ample));
        EXPECT_EQ(landing.boundary, boundary);
        EXPECT_EQ(landing.exact, !shadow) << StepsGuest::where(boundary) << ": " << landing.detail;
        EXPECT_EQ(landing.late, shadow) << StepsGuest::where(boundary) << ": " << landing.detail;
        EXPECT_EQ(guest.rip(), StepsGuest::symbol("nmi_handler"));
        EXPECT_EQ(must(machine::refusal(guest.machine(), cpu0, Delivery::nmi)), "NMIs are masked until the next IRET");
        finish_handler(guest, stepper);
        EXPECT_EQ(guest.rip() == boundary, landing.exact) << StepsGuest::where(boundary);
        late += landing.late ? 1 : 0;
        EXPECT_EQ(guest.value("nmis"), ++injected);
    });
    EXPECT_GE(injected, 50u);
    EXPECT_EQ(late, 2u) << "the shadows of the two STIs";
    expect_undisturbed(guest);
}

TEST_F(DeliverTest, AnIrqLandsOnEveryInterruptibleBoundaryAndIsRefusedElsewhere) {
    StepsGuest guest;
    unsigned landed = 0;
    unsigned refused = 0;
    round_trip(guest, [&](Stepper& stepper) {
        const Gva boundary = guest.rip();
        const bool interrupts_on = (must(guest.vcpu().regs()).rflags & 0x200) != 0;
        const bool shadow = in_shadow(guest);
        const auto why_not = must(machine::refusal(guest.machine(), cpu0, Delivery::interrupt));
        EXPECT_EQ(!why_not, interrupts_on && !shadow) << StepsGuest::where(boundary);
        if (why_not) {
            EXPECT_EQ(why_not->starts_with("in the shadow of STI"), interrupts_on) << *why_not;
            EXPECT_EQ(*why_not == "IF=0", !interrupts_on) << *why_not;
            ++refused;
            return;
        }
        const Landing landing = must(machine::deliver(guest.machine(), cpu0, {.how = Delivery::interrupt, .vector = Vector(0x20)}, ample));
        EXPECT_TRUE(landing.exact) << StepsGuest::where(boundary) << ": " << landing.detail;
        finish_handler(guest, stepper);
        EXPECT_EQ(guest.rip(), boundary);
        EXPECT_EQ(guest.value("irqs"), ++landed);
    });
    EXPECT_GT(landed, 10u);
    EXPECT_GT(refused, 10u);
    expect_undisturbed(guest);
}

struct EventCase {
    const char* name;
    NativeEvent event;
    const char* counter;
    unsigned before;  // what the guest itself causes of the kind
    const char* handler;
};

std::vector<EventCase> every_event() {
    return {
        {"#DB", {.how = Delivery::exception, .vector = Vector(1)}, "dbs", 1, "db_handler"},
        {"#UD", {.how = Delivery::exception, .vector = Vector(6)}, "uds", 1, "plain_handler"},
        {"#GP", {.how = Delivery::exception, .vector = Vector(13), .error_code = 0x50}, "gps", 0, "gp_handler"},
        {"#PF", {.how = Delivery::exception, .vector = Vector(14), .error_code = 2, .cr2 = Gva(0xdeadb000)}, "pfs", 1, "pf_handler"},
        {"#BP", {.how = Delivery::int3}, "int3s", 1, "bp_handler"},
        {"#MC", {.how = Delivery::machine_check}, "mcs", 0, "mc_handler"},
        {"NMI", {.how = Delivery::nmi}, "nmis", 0, "nmi_handler"},
    };
}

TEST_F(DeliverTest, EachEventLandsExactlyInKernelAndUserModeAndTheGuestGoesOn) {
    STACKRIG_NEEDS("inject.mc");
    for (const EventCase& c : every_event()) {
        for (const char* place : {"kernel_to_user", "user_behind_syscall"}) {
            StepsGuest guest;
            guest.run_to(begin);
            {
                Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
                guest.step_to(stepper, place);
            }
            const unsigned so_far = guest.value(c.counter);
            const Landing landing = must(machine::deliver(guest.machine(), cpu0, c.event, ample));
            EXPECT_TRUE(landing.exact) << c.name << " at " << place << ": " << landing.detail;
            EXPECT_EQ(landing.boundary, StepsGuest::symbol(place));
            EXPECT_EQ(landing.handler, StepsGuest::symbol(c.handler));
            EXPECT_EQ(guest.rip(), landing.handler);
            EXPECT_EQ(guest.value(c.counter), so_far) << "the handler's first instruction has not run";
            {
                Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
                finish_handler(guest, stepper);
            }
            EXPECT_EQ(guest.rip(), landing.boundary) << c.name;
            EXPECT_EQ(guest.value(c.counter), so_far + 1) << c.name;
            EXPECT_EQ(guest.value<std::uint64_t>("last_error"), c.event.error_code.value_or(0)) << c.name;
            guest.run_to_end();
            const bool mapped_early = c.counter == std::string("pfs");  // the handler maps the page that the guest would fault on
            EXPECT_EQ(guest.value(c.counter), c.before + (mapped_early ? 0 : 1)) << c.name << " at " << place;
            EXPECT_EQ(guest.value("syscalls"), 1u);
            EXPECT_FALSE(guest.trap_flag_was_seen());
        }
    }
}

TEST_F(DeliverTest, APageFaultCarriesItsAddressAndErrorCode) {
    StepsGuest guest;
    guest.run_to(begin);
    const NativeEvent fault{.how = Delivery::exception, .vector = Vector(14), .error_code = 6, .cr2 = Gva(0xdeadb000)};
    EXPECT_TRUE(must(machine::deliver(guest.machine(), cpu0, fault, ample)).exact);
    Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
    finish_handler(guest, stepper);
    EXPECT_EQ(guest.value<std::uint64_t>("last_error"), 6u);
    EXPECT_EQ(guest.value<std::uint64_t>("last_cr2"), 0xdeadb000u);
}

// #BP by KVM_SET_VCPU_EVENTS would push a RIP of the rig's choosing only on hosts with NRIPS; a real INT3 must leave no trace.
TEST_F(DeliverTest, ABreakpointTrapReturnsToTheInstructionUnderIt) {
    StepsGuest guest;
    guest.run_to("kernel_rep");
    const auto code = must(guest.machine().memory().read<std::uint16_t>(Gpa(StepsGuest::symbol("kernel_rep").value())));
    EXPECT_TRUE(must(machine::deliver(guest.machine(), cpu0, {.how = Delivery::int3}, ample)).exact);
    EXPECT_EQ(must(guest.machine().memory().read<std::uint16_t>(Gpa(StepsGuest::symbol("kernel_rep").value()))), code);
    Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
    guest.step_to(stepper, "kernel_rep");
    EXPECT_EQ(must(guest.vcpu().regs()).rcx, 5u) << "the string instruction has not begun";
}

TEST_F(DeliverTest, NoBreakpointTrapIsLaidOverItsOwnHandler) {
    StepsGuest guest;
    guest.run_to("kernel_rep");
    EXPECT_EQ(must(machine::refusal(guest.machine(), cpu0, Delivery::int3)), std::nullopt);
    EXPECT_TRUE(must(machine::deliver(guest.machine(), cpu0, {.how = Delivery::int3}, ample)).exact);
    EXPECT_EQ(must(machine::refusal(guest.machine(), cpu0, Delivery::int3)),
              "it is the first instruction of #BP's own handler, which an INT3 there would send to itself for ever");
    EXPECT_EQ(must(machine::refusal(guest.machine(), cpu0, Delivery::nmi)), std::nullopt);
}

TEST_F(DeliverTest, ASecondEventLandsOnTheFirstOnesHandler) {
    StepsGuest guest;
    guest.run_to("kernel_interruptible");
    EXPECT_TRUE(must(machine::deliver(guest.machine(), cpu0, {.how = Delivery::interrupt, .vector = Vector(0x20)}, ample)).exact);
    const Landing second = must(machine::deliver(guest.machine(), cpu0, {.how = Delivery::nmi}, ample));
    EXPECT_TRUE(second.exact) << second.detail;
    EXPECT_EQ(second.boundary, StepsGuest::symbol("irq_handler"));
    guest.run_to_end();
    EXPECT_EQ(guest.value("irqs"), 1u);
    EXPECT_EQ(guest.value("nmis"), 1u);
}

// The request is no part of a snapshot: a branch that was left while an interrupt waited leaves it behind.
TEST_F(DeliverTest, ALeftOverRequestForAnInterruptWindowIsNotInTheWay) {
    for (const Delivery how : {Delivery::int3, Delivery::nmi, Delivery::machine_check}) {
        StepsGuest guest;
        guest.run_to("kernel_interruptible");
        guest.vcpu().request_interrupt_window(true);
        EXPECT_TRUE(must(machine::deliver(guest.machine(), cpu0, {.how = how}, ample)).exact);
    }
}

TEST_F(DeliverTest, AVectorWithoutHandlerIsAnErrorThatNamesIt) {
    StepsGuest guest;
    guest.run_to("kernel_interruptible");
    const auto landing = machine::deliver(guest.machine(), cpu0, {.how = Delivery::interrupt, .vector = Vector(0x21)}, ample);
    EXPECT_EQ(error_of(landing), "the guest's IDT has no handler for vector 0x21");
}

// A gate whose code segment does not exist: the CPU raises #GP instead, the guest returns from that and goes on to its next exit.
TEST_F(DeliverTest, AnEventThatTheCpuCannotDeliverIsAnErrorThatSaysWhatHappenedInstead) {
    StepsGuest guest;
    guest.run_to("kernel_interruptible");
    constexpr std::uint64_t gate_bytes = 16;
    constexpr std::uint64_t selector_at = 2;
    must(guest.machine().memory().write<std::uint16_t>(Gpa(StepsGuest::symbol("idt").value()) + 0x20 * gate_bytes + selector_at, 0x1000));
    const auto landing = machine::deliver(guest.machine(), cpu0, {.how = Delivery::interrupt, .vector = Vector(0x20)}, ample);
    EXPECT_EQ(error_of(landing), fmt::format("vector 0x20 was queued at {}, but instead of its handler there was: OUT port 0x80, 1 byte: 0x41 at {}",
                                             StepsGuest::symbol("kernel_interruptible"), StepsGuest::symbol("kernel_in")));
    EXPECT_EQ(guest.value("gps"), 1u);
    guest.run_to_end();
    EXPECT_EQ(guest.value("irqs"), 0u) << "no HLT was left at its handler, and nothing is queued";
}

// With a breakpoint at the boundary, a HLT lies where the event is to hit.
TEST_F(DeliverTest, BreakpointsAtTheBoundaryAndTheHandlerAreNotInTheWay) {
    for (const char* place : {"kernel_interruptible", "kernel_sti_shadow"}) {
        StepsGuest guest;
        machine::Breakpoints breakpoints(guest.machine());
        must(breakpoints.set_only({StepsGuest::symbol(place), StepsGuest::symbol("nmi_handler")}));
        guest.run_to("kernel_sti");
        {
            Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
            guest.step_to(stepper, place);
        }
        const Landing landing = must(machine::deliver(guest.machine(), cpu0, {.how = Delivery::nmi}, ample));
        EXPECT_EQ(landing.exact, place == std::string("kernel_interruptible")) << landing.detail;
        EXPECT_EQ(landing.late, place == std::string("kernel_sti_shadow")) << landing.detail;
        EXPECT_TRUE(must(machine::deliver(guest.machine(), cpu0, {.how = Delivery::int3}, ample)).exact);
        EXPECT_EQ(guest.rip(), StepsGuest::symbol("bp_handler"));
    }
}

}  // namespace
}  // namespace stackrig::test
