// Steering a thread that is in user mode into one of its own stubs: a real SYSCALL, INT n, or faulting instruction.
#pragma once

#include <string>

#include "guest/abi/entries.hpp"
#include "vmm/base/result.hpp"
#include "vmm/engine/plan.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/x86/elf.hpp"

namespace stackrig::engine {

struct Steered {
    abi::Entry entry = abi::Entry::none;
    Gva instruction;  ///< the stub's instruction that enters the kernel
    Gva resume;       ///< the RIP it must leave behind: itself for faults, the next instruction for traps and calls
    Gva handler;      ///< first kernel instruction
};

/// Pushes the interrupted RIP on the user stack, as a CALL would, and sends the thread into the stub for `event`. The stub
/// restores every register, so that the program never notices. CPL 3 is required.
[[nodiscard]] Result<Steered> steer(machine::Machine& machine, CpuId cpu, const x86::Elf& guest, const Event& event);

/// Address of a symbol that the rig itself needs; without it guest and program are of different builds (rig error).
[[nodiscard]] Result<Gva> guest_symbol(const x86::Elf& guest, const char* name);

/// At the handler's first instruction: what the CPU left behind (pushed frame, or RCX for SYSCALL) against `steered`; empty
/// when it is exactly that.
[[nodiscard]] Result<std::string> verify_steered(machine::Machine& machine, CpuId cpu, const Steered& steered);

}  // namespace stackrig::engine
