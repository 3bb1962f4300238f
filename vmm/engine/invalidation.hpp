// What a stepped instruction has made the CPU forget.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/engine/stop.hpp"
#include "vmm/x86/decode.hpp"

namespace stackrig::engine {

/// Of `instruction`, executed with the registers `before`; `cr4` is CR4 behind it. Nothing for one that leaves every translation where
/// it is (SDM 3A 4.10.4.1). INVPCID and whatever else could do more is left out: too little forgotten errs towards an alarm.
[[nodiscard]] std::optional<Invalidation> invalidation(const x86::Instruction& instruction, const CpuState& before, std::uint64_t cr4);

}  // namespace stackrig::engine
