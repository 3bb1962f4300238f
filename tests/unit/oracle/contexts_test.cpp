// I12 and I13: contexts that events interrupt, and frames that events overwrite.
#include <gtest/gtest.h>

#include "tests/unit/oracle/rig.hpp"
#include "vmm/x86/frames.hpp"

namespace stackrig::oracle::test {
namespace {

/// Writes an event's frame right below `rsp` on the stack of A, and puts the CPU at the handler's first
/// instruction.
engine::CpuState interrupt(Rig& r, Entry entry) {
    const engine::CpuState was = r.cpus[0];
    const std::uint64_t at = was.rsp.value() - sizeof(x86::InterruptFrame);
    const std::uint64_t pa = r.g.pfn_of(r.g.a, 0) * abi::page_bytes + at % abi::page_bytes;
    r.g.ram.at<x86::InterruptFrame>(pa) = {was.rip.value(), was.cs, was.rflags, was.rsp.value(),
                                           abi::kernel_ds};
    r.cpus[0].rsp = Gva(at);
    r.cpus[0].rip = Gva(abi::kernel_map_base + 0x1000);
    r.set_irqs(false);
    r.stop(engine::LandedStop{.entry = entry, .from_user = false, .exact = true, .detail = ""});
    return was;
}

struct Scratch {
    const char* what;
    std::function<void(engine::CpuState&)> change;
    bool matters;
};

TEST(I12, EveryRegisterComesBack) {
    const Scratch cases[] = {
        {"nothing", [](engine::CpuState&) {}, false},
        {"RAX", [](engine::CpuState& c) { c.gpr[0] ^= 1; }, true},
        {"R15", [](engine::CpuState& c) { c.gpr[15] ^= 1; }, true},
        {"ZF", [](engine::CpuState& c) { c.rflags ^= 0x40; }, true},
        {"RF", [](engine::CpuState& c) { c.rflags ^= 0x10000; }, false},
        {"CR2", [](engine::CpuState& c) { c.cr2 = Gva(0x1234); }, true},
        {"GS", [](engine::CpuState& c) { c.gs_base = Gva(0x1234); }, true},
    };
    for (const Scratch& scratch : cases) {
        Rig r;
        r.boot_to_user();
        r.enter(r.g.a, Entry::timer);
        r.cpus[0].gpr = {1, 2, 3, 4, 5, 6, 7, 8};
        engine::CpuState back = interrupt(r, Entry::nmi);
        r.boundary();  // inside the handler
        scratch.change(back);
        r.cpus[0] = back;
        r.boundary();
        EXPECT_EQ(r.fired(Inv::i12), scratch.matters) << scratch.what << ": " << r.all();
        EXPECT_EXAMINED(r, Inv::i12);
    }
}

TEST(I12, AReturnShownBySomebodyElseThanTheStepperCountsToo) {
    for (const bool scratched : {false, true}) {
        Rig r;
        r.boot_to_user();
        r.enter(r.g.a, Entry::timer);
        const engine::CpuState back = interrupt(r, Entry::nmi);
        r.cpus[0] = back;
        r.cpus[0].gpr[3] += scratched ? 1 : 0;
        r.stop(engine::ReturnStop{});
        EXPECT_EQ(r.fired(Inv::i12), scratched);
        EXPECT_EXAMINED(r, Inv::i12);
    }
}

/// The stack is the next thread's already, and nothing was seen since it was the last one's: on the NMI's own stack the CPU still counts as
/// running the last one.
TEST(I12, InTheMiddleOfASwitchToo) {
    for (const bool scratched : {false, true}) {
        Rig r;
        r.boot_to_user();
        r.enter(r.g.a, Entry::timer);
        r.mark(Mark::switch_to, r.g.a, r.g.b);
        r.cpus[0].cr3 = Gpa(r.g.state().kernel_cr3);
        engine::CpuState back = r.cpus[0];
        back.rsp = Gva(abi::stack_top(r.g.thread(r.g.b).slot) - 200);
        r.on_cpu_stack(abi::CpuStack::nmi);
        const Gva at(abi::cpu_stack_top(0, abi::CpuStack::nmi) - sizeof(x86::InterruptFrame));
        r.cpus[0].rsp = at;
        r.g.ram.at<x86::InterruptFrame>(r.g.map_kernel_page(at.value() & ~(abi::page_bytes - 1)) + at.value() % abi::page_bytes) = {back.rip.value(), back.cs, back.rflags, back.rsp.value(), abi::kernel_ds};
        r.stop(engine::LandedStop{.entry = Entry::nmi, .from_user = false, .exact = true, .detail = ""});
        r.cpus[0] = back;
        r.cpus[0].gpr[3] += scratched ? 1 : 0;
        r.stop(engine::ReturnStop{});
        EXPECT_EQ(r.fired(Inv::i12), scratched) << r.all();
        EXPECT_EXAMINED(r, Inv::i12);
    }
}

TEST(I12, OnlyTheFirstTimeBackCounts) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    const engine::CpuState back = interrupt(r, Entry::nmi);
    r.cpus[0] = back;
    r.boundary();
    r.cpus[0].gpr[0] = 42;  // the code itself has changed it, and comes by again
    r.boundary();
    EXPECT_CLEAN(r);
}

TEST(I12, AReturnThatWasNotSeenIsForgotten) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    const engine::CpuState back = interrupt(r, Entry::nmi);
    r.cpus[0] = back;
    r.cpus[0].rsp = back.rsp + 64;
    r.boundary();
    r.cpus[0] = back;
    r.cpus[0].gpr[0] = 42;
    r.boundary();
    EXPECT_CLEAN(r);
}

TEST(I12, AFaultMayChangeWhatItReturnsTo) {
    Rig r;
    r.boot_to_user();
    r.enter(r.g.a, Entry::timer);
    engine::CpuState back = interrupt(r, Entry::int3);
    back.gpr[0] = 42;
    r.cpus[0] = back;
    r.boundary();
    EXPECT_CLEAN(r);
}

TEST(I13, SecondNmiOverTheFrameOfTheFirst) {
    for (const abi::CpuStack interrupted : {abi::CpuStack::mc, abi::CpuStack::nmi}) {
        Rig r;
        r.boot();
        const std::uint64_t top = abi::cpu_stack_top(0, abi::CpuStack::nmi);
        const std::uint64_t pa = r.g.map_kernel_page(top - abi::page_bytes);
        r.on_cpu_stack(abi::CpuStack::nmi);
        r.cpus[0].cr3 = Gpa(r.g.state().kernel_cr3);
        r.g.ram.at<x86::InterruptFrame>(pa + abi::page_bytes - sizeof(x86::InterruptFrame)) = {
            abi::kernel_map_base, abi::kernel_cs, 2, abi::cpu_stack_top(0, interrupted) - 512,
            abi::kernel_ds};
        r.boundary();
        EXPECT_EQ(r.fired(Inv::i13), interrupted == abi::CpuStack::nmi) << r.all();
        EXPECT_EXAMINED(r, Inv::i13);
    }
}

}  // namespace
}  // namespace stackrig::oracle::test
