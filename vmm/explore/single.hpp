// One scenario, run once: engine, oracle and predicates put together, and the verdict.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/engine/plan.hpp"
#include "vmm/explore/result.hpp"
#include "vmm/kvm/system.hpp"
#include "vmm/scenario/scenario.hpp"
#include "vmm/x86/elf.hpp"

namespace stackrig::explore {

/// What a run needs besides the scenario.
struct Bench {
    const kvm::System& system;
    const x86::Elf& guest;
    std::set<std::string> capabilities;  ///< names of the probe's items that are ok
};

/// The guest's symbols as the scenario checker asks for them.
class GuestSymbols final : public scenario::SymbolSource {
  public:
    explicit GuestSymbols(const x86::Elf& guest) : guest_(guest) {}
    [[nodiscard]] std::optional<Gva> find(std::string_view name) const override { return guest_.find(name); }
    [[nodiscard]] std::vector<std::string> names() const override { return guest_.names(); }

  private:
    const x86::Elf& guest_;
};

/// What of a run is kept for reports besides its result.
struct Recording {
    std::size_t moments = 0;   ///< at most so many stops, the last ones; 0: none
    bool passes_too = false;   ///< else only of runs with a violation, or not as expected
};
/// Physical address of the guest's root structure. Error: usage, for an ELF that is no guest of the rig.
[[nodiscard]] Result<Gpa> kernel_state(const x86::Elf& guest);

/// Runs it and judges. Errors are the host's or the rig's; everything else is a verdict.
[[nodiscard]] Result<ScenarioResult> run_scenario(const Bench& bench, const scenario::Scenario& scenario,
                                                  Recording recording = {});

/// Runs up to `place` and draws what is there. An error (usage) when the run ends before the place is reached.
[[nodiscard]] Result<std::string> look_at(const Bench& bench, const scenario::Scenario& scenario, const engine::Place& place);

}  // namespace stackrig::explore
