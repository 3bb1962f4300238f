// The trace hash sees whatever makes two runs differ, and nothing that only hosts differ in.
#include <gtest/gtest.h>

#include <functional>

#include "tests/unit/x86/ram.hpp"
#include "vmm/engine/trace.hpp"

namespace stackrig::engine {
namespace {

std::uint64_t hash_of(const StopCause& cause, const CpuState& cpu = {}) {
    const std::vector<CpuState> cpus{cpu};
    const x86::Ram ram(1);
    TraceHash trace;
    trace.add({.index = 1, .step = 0, .cpu = CpuId{0}, .cause = cause, .cpus = cpus, .memory = ram, .every_instruction = false, .invalidated = {}});
    return trace.value();
}

TEST(TraceHash, SeesWhatAHandlerMayChange) {
    const std::vector<std::pair<const char*, std::function<void(CpuState&)>>> changes{
        {"RIP", [](CpuState& c) { c.rip = Gva(1); }},
        {"RFLAGS", [](CpuState& c) { c.rflags = 1; }},
        {"CS", [](CpuState& c) { c.cs = 3; }},
        {"CR3", [](CpuState& c) { c.cr3 = Gpa(1); }},
        {"GS base", [](CpuState& c) { c.gs_base = Gva(1); }},
        {"the NMI mask", [](CpuState& c) { c.nmi_masked = true; }},
        {"RAX", [](CpuState& c) { c.gpr.front() = 1; }},
        {"R15", [](CpuState& c) { c.gpr.back() = 1; }},
    };
    for (const auto& [what, change] : changes) {
        CpuState cpu;
        change(cpu);
        EXPECT_NE(hash_of(ReturnStop{}, cpu), hash_of(ReturnStop{})) << what;
    }
}

TEST(TraceHash, SeesWhatTheGuestSaidAndWasTold) {
    const MarkStop mark{abi::Mark::boot_done, {1, 2, 3}};
    EXPECT_NE(hash_of(mark), hash_of(MarkStop{abi::Mark::panic, {1, 2, 3}}));
    EXPECT_NE(hash_of(mark), hash_of(MarkStop{abi::Mark::boot_done, {1, 2, 4}}));
    EXPECT_NE(hash_of(ChoiceStop{abi::Choice::alloc, {}, 0}), hash_of(ChoiceStop{abi::Choice::alloc, {}, 1}));
    EXPECT_NE(hash_of(IpiStop{CpuId{0}, Vector{1}}), hash_of(IpiStop{CpuId{1}, Vector{1}}));
    EXPECT_NE(hash_of(HaltStop{}), hash_of(ReturnStop{}));
}

TEST(TraceHash, DoesNotSeeWhatHostsDifferIn) {
    CpuState cpu;
    cpu.rflags = 1u << 16;  // RF: processors set it in a fault's frame, TCG does not
    cpu.cr2 = Gva(1);       // behind a double fault
    EXPECT_EQ(hash_of(ReturnStop{}, cpu), hash_of(ReturnStop{}));
}

}  // namespace
}  // namespace stackrig::engine
