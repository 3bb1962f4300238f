// The state of one CPU, all of it that a guest can change: read, put back, compared.
#pragma once

#include <array>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/kvm/state.hpp"
#include "vmm/kvm/vcpu.hpp"

namespace stackrig::machine {

/// docs/state.md says for each piece of a vCPU who owns it. Not here: the TSC and FPU, which no guest of ours touches (a test
/// disassembles it; Snapshots::verify() compares the FPU), and what is the same for the whole life of a vCPU (CPUID, XCR0).
struct CpuSnapshot {
    static constexpr std::size_t msr_count = 14;

    kvm::Regs regs;
    kvm::Sregs sregs;
    kvm::Events events;
    kvm::DebugRegs debug;
    std::array<kvm::Msr, msr_count> msrs;

    bool operator==(const CpuSnapshot&) const = default;
};

/// Of a vCPU that stands at a boundary and waits for no answer (rig error otherwise).
[[nodiscard]] Result<CpuSnapshot> capture(const kvm::Vcpu& vcpu);

/// Puts everything back; a pending answer is abandoned. `standing`: what the vCPU is known to hold, so that only what differs
/// is written.
[[nodiscard]] Result<void> restore(kvm::Vcpu& vcpu, const CpuSnapshot& to, const CpuSnapshot* standing = nullptr);

/// "rip 0x10 instead of 0x20, MSR 0xc0000102 ..."; empty when equal.
[[nodiscard]] std::string differences(const CpuSnapshot& is, const CpuSnapshot& should_be);

}  // namespace stackrig::machine
