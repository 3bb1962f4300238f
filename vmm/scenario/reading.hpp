// Whose scheme a run speaks about: the mail's own, another reading of it, the repaired one, or none.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "vmm/engine/plan.hpp"

namespace stackrig::scenario {

/// A refutation counts against the mail only under `mail`; the verdicts of the others stand beside it.
enum class Reading : std::uint8_t {
    mail,      ///< every choice as the mail has it, or the plainest where it is silent
    other,     ///< at least one choice differs
    repaired,  ///< every choice of the scheme as in repair = "proposed"
    baseline,  ///< scheme = "fixed": no scheme at all
};

[[nodiscard]] const char* name_of(Reading reading);
[[nodiscard]] std::optional<Reading> reading_named(std::string_view name);

/// Kernel configuration (preemption, KSTACK_ERASE, the IRQ stack) and sizes are the world that the mail is about and no reading of
/// it; a cap on the cache, or a reserve of more than three pages, is one.
[[nodiscard]] Reading reading_of(const engine::GuestPlan& guest);

}  // namespace stackrig::scenario
