// A result in full, for people: what was claimed, what was seen, where, how it came to that, and how to see it again.
#pragma once

#include <string>
#include <vector>

#include "vmm/explore/result.hpp"
#include "vmm/report/paint.hpp"

namespace stackrig::report {

/// At most 72 columns outside of file names and commands, so that it can be pasted into a mail.
[[nodiscard]] std::string result_details(const explore::ScenarioResult& result, const Paint& paint = Paint());

/// The command that shows a result again.
[[nodiscard]] std::string replay_command(const explore::ScenarioResult& result);

/// For each step of the schedule that was begun, the landing of its event; nullptr when it has none.
[[nodiscard]] std::vector<const explore::LandingReport*> landings_by_step(const explore::ScenarioResult& result);

/// What changed in `after` since `before`, a register a piece: "rax 0x5 -> 0x6".
[[nodiscard]] std::vector<std::string> changed_registers(const engine::CpuState& before, const engine::CpuState& after);

}  // namespace stackrig::report
