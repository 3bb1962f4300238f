// Two bits taken away.
#include "vmm/machine/cpuid.hpp"

namespace stackrig::machine {

std::vector<kvm::CpuidEntry> without_pcids(std::vector<kvm::CpuidEntry> supported) {
    constexpr std::uint32_t pcid = 1u << 17;
    constexpr std::uint32_t invpcid = 1u << 10;
    for (kvm::CpuidEntry& entry : supported) {
        if (entry.function == 1) {
            entry.ecx &= ~pcid;
        } else if (entry.function == 7 && entry.index == 0) {
            entry.ebx &= ~invpcid;
        }
    }
    return supported;
}

}  // namespace stackrig::machine
