// INVLPG, MOV CR3, and a MOV CR4 that changes PGE.
#include "vmm/engine/invalidation.hpp"

#include "vmm/x86/descriptors.hpp"

namespace stackrig::engine {

std::optional<Invalidation> invalidation(const x86::Instruction& instruction, const CpuState& before, std::uint64_t cr4) {
    switch (instruction.forgets) {
        case x86::Forgets::page:
            return Invalidation{abi::FlushKind::page, instruction.memory->address(before.gpr, before.rip + instruction.length, before.gs_base)};
        case x86::Forgets::root: return Invalidation{abi::FlushKind::cr3, {}};
        case x86::Forgets::by_change:
            return ((before.cr4 ^ cr4) & x86::cr4::pge) != 0 ? std::optional(Invalidation{abi::FlushKind::all, {}}) : std::nullopt;
        case x86::Forgets::nothing: break;
    }
    return std::nullopt;
}

}  // namespace stackrig::engine
