// Snapshots: every boundary of a guest that uses every odd instruction is restored exactly and goes on as it did.
#include "tests/kvm/machine/guest.hpp"
#include "vmm/machine/deliver.hpp"
#include "vmm/machine/snapshot.hpp"

namespace stackrig::test {
namespace {

using machine::Snapshot;
using machine::Snapshots;
using machine::Stepper;

using SnapshotTest = KvmTest;

/// The guest from here to its end, a snapshot at each boundary.
std::vector<Snapshot> walk(StepsGuest& guest, Snapshots& snapshots) {
    Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
    std::vector<Snapshot> path{must(snapshots.take())};
    while (guest.rip() != StepsGuest::symbol("the_end") + 1) {
        guest.step(stepper);
        path.push_back(must(snapshots.take()));
    }
    return path;
}

Gva rip_of(const Snapshot& snapshot) { return Gva(snapshot.cpu(cpu0).regs.rip); }

TEST_F(SnapshotTest, EveryBoundaryIsRestoredExactlyAndTheNextStepIsTheSameAgain) {
    StepsGuest guest;
    const auto snapshots = must(Snapshots::begin(guest.machine()));
    const std::vector<Snapshot> path = walk(guest, *snapshots);
    ASSERT_GT(path.size(), 150u);
    for (std::size_t k = 0; k + 1 < path.size(); ++k) {
        const std::size_t i = k * 89 % (path.size() - 1);  // there and back, over mode changes too
        must(snapshots->restore(path[i]));
        ASSERT_EQ(must(snapshots->verify(path[i])), "") << "restored at " << StepsGuest::where(rip_of(path[i]));
        Stepper stepper = must(Stepper::create(guest.machine(), cpu0));
        guest.step(stepper);
        ASSERT_EQ(must(snapshots->verify(path[i + 1])), "") << "one step behind " << StepsGuest::where(rip_of(path[i]));
    }
}

TEST_F(SnapshotTest, WhatAnEventDidIsUndoneAtEveryBoundary) {
    STACKRIG_NEEDS("inject.mc");
    StepsGuest guest;
    guest.run_to("kernel_part");
    const auto snapshots = must(Snapshots::begin(guest.machine()));
    const std::vector<Snapshot> path = walk(guest, *snapshots);
    for (const auto how : {machine::Delivery::nmi, machine::Delivery::machine_check}) {
        for (std::size_t i = 0; i + 1 < path.size(); ++i) {
            if (rip_of(path[i]) == StepsGuest::symbol("kernel_hlt")) {
                continue;  // an NMI that its shadow holds back finds the CPU halted
            }
            must(snapshots->restore(path[i]));
            must(machine::deliver(guest.machine(), cpu0, {.how = how}, ample));
            ASSERT_NE(must(snapshots->verify(path[i])), "") << "an event leaves a trace";
        }
        must(snapshots->restore(path[0]));
        ASSERT_EQ(must(snapshots->verify(path[0])), "");
    }
    guest.run_to_end();
    EXPECT_EQ(guest.value("nmis"), 0u);
    EXPECT_EQ(guest.value("mcs"), 0u);
    EXPECT_EQ(guest.value("syscalls"), 1u);
}

TEST_F(SnapshotTest, ThePageTablesThatTheGuestRunsOnAreTheRestoredOnes) {
    StepsGuest guest;
    guest.run_to("kernel_part");
    const auto snapshots = must(Snapshots::begin(guest.machine()));
    const Snapshot before = must(snapshots->take());
    for (int round = 0; round < 3; ++round) {
        guest.run_to_end();
        EXPECT_EQ(guest.value("pfs"), 1u) << "the page is not there before its fault, in no TLB and no shadow table either; round " << round;
        must(snapshots->restore(before));
        EXPECT_EQ(guest.value("pfs"), 0u);
    }
}

TEST_F(SnapshotTest, TheVmmsOwnWritesAreUndoneAndOnesItDoesNotRecordAreFound) {
    StepsGuest guest;
    guest.run_to("kernel_part");
    const auto snapshots = must(Snapshots::begin(guest.machine()));
    const Snapshot before = must(snapshots->take());
    must(guest.machine().memory().write<std::uint64_t>(Gpa(0x300010), 42));
    const auto changed = must(snapshots->differing(before, 10));
    ASSERT_EQ(changed.size(), 1u);
    EXPECT_EQ(changed[0], Pfn(0x300));
    EXPECT_EQ(must(snapshots->verify(before)), "0x300010 holds 0x2a instead of 0x00");
    must(snapshots->restore(before));
    EXPECT_EQ(must(snapshots->verify(before)), "");
    guest.machine().memory().unrecorded_bytes()[0x301000] = std::byte{7};
    EXPECT_EQ(must(snapshots->verify(before)), "0x301000 holds 0x07 instead of 0x00, and nobody was seen to write there");
}

TEST_F(SnapshotTest, EachPieceOfACpuIsComparedAndPutBack) {
    StepsGuest guest;
    guest.run_to("kernel_part");
    const auto snapshots = must(Snapshots::begin(guest.machine()));
    const Snapshot before = must(snapshots->take());
    const auto spoilt = [&](const char* what, auto&& change) {
        change();
        const std::string seen = must(snapshots->verify(before));
        EXPECT_NE(seen.find(what), std::string::npos) << seen;
        must(snapshots->restore(before));
        EXPECT_EQ(must(snapshots->verify(before)), "") << what;
    };
    kvm::Vcpu& cpu = guest.vcpu();
    spoilt("r13 0x5", [&] { auto r = must(cpu.regs()); r.r13 = 5; must(cpu.set_regs(r)); });
    spoilt("cr2 0x123", [&] { auto s = must(cpu.sregs()); s.cr2 = 0x123; must(cpu.set_sregs(s)); });
    spoilt("gs 0x10 base 0x99", [&] { auto s = must(cpu.sregs()); s.gs.base = 0x99; must(cpu.set_sregs(s)); });
    spoilt("NMI mask", [&] { auto e = must(cpu.events()); e.nmi.masked = 1; must(cpu.set_events(e)); });
    spoilt("interrupt shadow", [&] { auto e = must(cpu.events()); e.interrupt.shadow = kvm::shadow_sti; must(cpu.set_events(e)); });
    spoilt("pending NMI", [&] { must(cpu.inject_nmi()); });
    spoilt("queued interrupt", [&] { must(cpu.inject_interrupt(Vector{0x20})); });
    spoilt("debug registers", [&] { auto d = must(cpu.debug_regs()); d.db[1] = 4; must(cpu.set_debug_regs(d)); });
    const kvm::Msr kernel_gs{0xc0000102, 0, 0x77000};
    spoilt("MSR 0xc0000102 0x77000", [&] { must(cpu.set_msrs(std::span(&kernel_gs, 1))); });
    kvm::Fpu fpu = must(cpu.fpu());
    fpu.bytes[0] ^= std::byte{1};
    must(cpu.set_fpu(fpu));
    EXPECT_EQ(must(snapshots->verify(before)), "cpu0: the FPU, which no guest may touch");
}

// What lies under the rig's bytes would be put back, and those of the rig be lost.
TEST_F(SnapshotTest, APageThatTheGuestChangedAndTheRigPatchesCannotBeRestored) {
    StepsGuest guest;
    guest.run_to("kernel_part");
    const auto snapshots = must(Snapshots::begin(guest.machine()));
    const Snapshot before = must(snapshots->take());
    must(guest.machine().memory().write<std::uint64_t>(Gpa(0x300010), 42));
    must(guest.machine().patches().place(Gpa(0x300000), machine::opcode_hlt));
    EXPECT_EQ(error_of(snapshots->restore(before)), "restoring a snapshot would change page 0x300, which the guest has written to and "
                                                    "the rig has patched: a guest that changes its own code cannot be restored");
    must(guest.machine().patches().lift(Gpa(0x300000)));
    must(snapshots->restore(before));
    EXPECT_EQ(must(snapshots->verify(before)), "");
}

TEST_F(SnapshotTest, AnUnansweredInIsNoBoundaryButCanBeLeftBehind) {
    StepsGuest guest;
    guest.run_to("kernel_part");
    const auto snapshots = must(Snapshots::begin(guest.machine()));
    const Snapshot before = must(snapshots->take());
    while (!guest.vcpu().waits_for_answer()) {
        must(guest.vcpu().run(ample));
    }
    EXPECT_EQ(error_of(snapshots->take()), "cpu0 still waits for the answer to an IN: there is no boundary to take a snapshot of");
    must(snapshots->restore(before));
    EXPECT_EQ(must(snapshots->verify(before)), "");
    guest.run_to_end();
    EXPECT_EQ(guest.value<std::uint8_t>("answer"), StepsGuest::in_answer);
}

}  // namespace
}  // namespace stackrig::test
