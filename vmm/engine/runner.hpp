// One run: boots the guest, carries out the plan's steps, shows every stop to the observer.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/engine/plan.hpp"
#include "vmm/engine/stop.hpp"
#include "vmm/kvm/system.hpp"
#include "vmm/x86/elf.hpp"

namespace stackrig::engine {

enum class RunEnd {
    finished,       ///< the schedule was carried out
    observer,       ///< the observer ended it
    looked,         ///< RunOptions::look_at was reached
    unreachable,    ///< a step's place cannot be reached any more
    undeliverable,  ///< a step's event cannot be delivered where the run stands
    budget,         ///< RunPlan::max_stops
    deadlocked,     ///< CPUs wait for each other for ever
    stuck,          ///< the guest did not come back within RunOptions::patience
    panic,          ///< the guest gave up
    broken,         ///< shutdown, emulation failure, an exit that no guest of ours causes
};

struct RunOptions {
    std::optional<Place> look_at;
    /// Called once, at the last stop, while the guest still exists.
    std::function<void()> at_end;
    /// Wall-clock time the guest may run without any exit; ends a run only with `stuck`, never changes one.
    std::chrono::milliseconds patience{3000};
};

struct EventReport {
    std::string event;
    Gva boundary;
    bool exact = false;
    std::string detail;
};

struct RunOutcome {
    RunEnd end = RunEnd::finished;
    std::string detail;     ///< one sentence, for every end but `finished`
    std::size_t step = 0;   ///< schedule step at the end
    std::uint64_t stops = 0;
    std::uint64_t trace_hash = 0;  ///< over every stop: equal runs have equal hashes on every host
    std::vector<EventReport> events;
    std::vector<std::string> console;  ///< the guest's warnings and its last words
};

/// Refuses a guest ELF without the rig's note, or of another ABI version (usage error).
[[nodiscard]] Result<void> check_guest(const x86::Elf& guest);

/// Errors are the host's or the rig's; whatever the guest does is an outcome.
[[nodiscard]] Result<RunOutcome> run(const kvm::System& system, const x86::Elf& guest, const RunPlan& plan, Observer& observer,
                                     const RunOptions& options);

}  // namespace stackrig::engine
