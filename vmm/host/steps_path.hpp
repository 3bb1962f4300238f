// The guest "steps" (guest/steps): its path as the static listing says it must be, and how a walked one is judged.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/x86/decode.hpp"
#include "vmm/x86/elf.hpp"

namespace stackrig::host {

/// The guest's path, boundary by boundary, from its entry point to its last HLT.
struct StepsPath {
    std::vector<Gva> boundaries;
    /// REP string instructions: n iterations are n boundaries; a host may add one where the count is zero already (TCG does).
    std::vector<Gva> repeats;
};
/// Errors: rig when the ELF is no such guest.
[[nodiscard]] Result<StepsPath> steps_path(const x86::Elf& steps);

/// One step of a walk: where it began and what instruction was there.
struct WalkedStep {
    Gva from;
    x86::InstructionClass kind = x86::InstructionClass::other;
};

/// How the boundaries behind the instructions of one kind were met.
struct KindJudgement {
    x86::InstructionClass kind;
    unsigned steps = 0;
    std::vector<std::string> wrong;  ///< "behind kernel_sti the next boundary is x instead of y"
};
/// Kind by kind in the order of their first step. A walk that leaves the path and comes back to it is judged on.
[[nodiscard]] std::vector<KindJudgement> judge_walk(const std::vector<WalkedStep>& walk, const StepsPath& path, const x86::Elf& steps);

}  // namespace stackrig::host
