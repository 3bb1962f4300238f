// Landings that are shown before the guest is entered: that they are those that come, and that one that does not come is noticed.
#include <gtest/gtest.h>
#include <map>

#include "tests/kvm/explore/sweep_fixture.hpp"

namespace stackrig::explore {
namespace {

class LandingTest : public SweepTest {};

/// How a branch stands after its landing, and after the stop behind it.
struct Course {
    std::vector<engine::CpuState> landed, stopped;
    std::uint64_t trace = 0;
    std::vector<std::byte> memory;  ///< at the landing
    bool operator==(const Course&) const = default;
};

Course course_of(Sweep& sweep, bool with_memory, const std::function<void(engine::Session&)>& inject) {
    engine::Session& session = sweep.trunk().session();
    inject(session);
    Course course{.landed = session.state().cpus, .stopped = {}, .memory = {}};
    if (with_memory) {
        const auto bytes = session.machine().memory().bytes();
        course.memory.assign(bytes.begin(), bytes.end());
    }
    EXPECT_TRUE(must(session.poise()));
    must(session.go());
    course.stopped = session.state().cpus;
    course.trace = session.state().trace.value();
    return course;
}

TEST_F(LandingTest, ALandingThatIsForeseenIsTheOneThatComes) {
    const auto& all = scenario(R"(
[threads.A]
program = ["syscall null", "int3", "touch", "spin"]
[run]
schedule = ["run A until user #2", "run"]
[explore]
sweep = { events = ["nmi", "mc", "db", "irq", "device", "tick"] }
)");
    const auto sweep = sweep_of(all);
    engine::Session& session = sweep->trunk().session();
    std::map<std::string, std::uint64_t> foreseen;
    for (std::size_t i = 0; i < sweep->boundaries(); i += 17) {
        const Boundary& boundary = sweep->trunk().boundaries()[i];
        for (const engine::Event& event : all.sweep->events) {
            must(sweep->trunk().restore(boundary.moment));
            if (must(session.refusal(event)) || !must(session.inject_foreseen(event))) {
                continue;
            }
            // What a fault's frame says of RF is the host's affair (SDM 3B 17.3.1.1).
            const bool with_memory = event.kind != engine::EventKind::debug && i % 10 == 0;
            const Course foretold = course_of(*sweep, with_memory, [](engine::Session&) {});
            ASSERT_FALSE(session.unproved()) << event.text << " at " << guest->describe(boundary.rip);
            must(sweep->trunk().restore(boundary.moment));
            const Course real = course_of(*sweep, with_memory, [&](engine::Session& s) { must(s.inject_here(event)); });
            ASSERT_TRUE(foretold == real) << event.text << " at " << guest->describe(boundary.rip);
            ++foreseen[boundary.user_mode ? event.text + ", user" : event.text];
        }
    }
    for (const char* const word : {"nmi", "mc", "db", "nmi, user", "mc, user", "db, user", "irq, user", "tick, user", "device, user"}) {
        EXPECT_GT(foreseen[word], 5u) << word;
    }
    EXPECT_GT(foreseen["tick"], 0u);
}

TEST_F(LandingTest, ALandingThatDidNotComeIsNotProved) {
    const auto& s = scenario(R"toml(
[threads.A]
program = ["step", "spin"]
[run]
schedule = ["run A until handler(debug)", "run"]
[explore]
sweep = { events = ["nmi", "db"] }
)toml");
    const auto sweep = sweep_of(s, {.repeat_every = 1});
    engine::Session& session = sweep->trunk().session();
    const std::uint64_t in_user = boundary_where(*sweep, [](const Boundary& b) { return b.user_mode; });
    const Moment& moment = sweep->trunk().boundaries()[in_user].moment;
    must(sweep->trunk().restore(moment));
    ASSERT_TRUE(must(session.inject_foreseen(s.sweep->events[0])));
    EXPECT_TRUE(session.unproved());
    kvm::Events events = must(session.machine().vcpu(CpuId{0}).events());
    events.nmi.pending = 0;
    must(session.machine().vcpu(CpuId{0}).set_events(events));
    must(session.go());
    EXPECT_TRUE(session.unproved());
    EXPECT_EQ(session.state().outcome.detail, "the event did not land as foreseen");
    must(sweep->trunk().restore(moment));
    ASSERT_TRUE(must(session.inject_foreseen(s.sweep->events[0])));
    EXPECT_EQ(test::error_of(session.step()), "an event is on its way on cpu0: only go() can follow");
    EXPECT_EQ(test::error_of(session.inject_here(s.sweep->events[0])), "an event is on its way on cpu0: only go() can follow");
    must(sweep->trunk().restore(moment));
    EXPECT_FALSE(must(session.inject_foreseen(s.sweep->events[1]))) << "its handler is a place: who lands there does not come by";
    const SweepResult result = must(sweep->run(in_user, 1));  // fails where it is another run than the one from boot
    EXPECT_EQ(total(result, "db").executed, 1u);
    EXPECT_EQ(total(result, "nmi").executed, 1u);
    EXPECT_EQ(result.foreseen, 1u);
}

TEST_F(LandingTest, TheTrapsOfAStepperAreNotInTheWayOfALandingThatIsForeseen) {
    const auto& s = scenario(round_trip);
    const auto sweep = sweep_of(s);
    engine::Session& session = sweep->trunk().session();
    const Gva enter = *guest->find("enter_from_user_mode");
    const Moment& moment = sweep->trunk().boundaries()[boundary_where(*sweep, [&](const Boundary& b) { return b.rip == enter; })].moment;
    std::vector<engine::CpuState> clean;
    for (const bool stepped : {false, true}) {
        must(sweep->trunk().restore(moment));
        if (stepped) {
            must(session.step());
            must(sweep->trunk().restore(moment));
        }
        ASSERT_TRUE(must(session.inject_foreseen(s.sweep->events[0])));
        ASSERT_TRUE(must(session.poise()));
        must(session.go());
        EXPECT_FALSE(session.unproved());
        EXPECT_TRUE(std::holds_alternative<engine::MarkStop>(session.state().last_cause));
        EXPECT_TRUE(!stepped || session.state().cpus == clean);
        clean = session.state().cpus;
    }
}

TEST_F(LandingTest, WhereAnotherCpuGoesOnFirstNoLandingIsForeseen) {
    const auto& s = scenario(R"(
[guest]
cpus    = 2
offline = ["cpu1"]
repair  = "proposed"
[threads.K]
kind    = "kthread"
program = ["up cpu1", "exit"]
[run]
schedule = ["run K until K exits", "run"]
[explore]
sweep = { events = ["nmi"] }
)");
    const auto sweep = sweep_of(s, {.repeat_every = 1});
    const auto takes_nmis = [](const Boundary& b) {
        return b.moment.machine.cpu(b.cpu).sregs.idt.base == b.moment.machine.cpu(CpuId{0}).sregs.idt.base && b.moment.machine.cpu(b.cpu).sregs.tr.selector != 0;
    };
    const std::uint64_t elsewhere = boundary_where(*sweep, [&](const Boundary& b) { return b.cpu == CpuId{1} && b.function == "secondary_main" && takes_nmis(b); });
    ASSERT_LT(elsewhere, sweep->boundaries()) << "cpu1 starts while cpu0 waits for it";
    const SweepResult result = must(sweep->run(elsewhere, 1));
    EXPECT_EQ(result.runs, 1u);
    EXPECT_EQ(result.foreseen + result.unproved, 0u);
}

}  // namespace
}  // namespace stackrig::explore
