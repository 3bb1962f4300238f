// What the guest's CPUs say that they can do.
#pragma once

#include <vector>

#include "vmm/kvm/state.hpp"

namespace stackrig::machine {

/// What the host supports, without PCIDs (CPUID.01H:ECX[17]) and INVPCID (CPUID.07H:EBX[10]), so that a guest which sets CR4.PCIDE gets
/// #GP (SDM 3A 4.10.1): the model of translations knows one address space tag only.
[[nodiscard]] std::vector<kvm::CpuidEntry> without_pcids(std::vector<kvm::CpuidEntry> supported);

}  // namespace stackrig::machine
