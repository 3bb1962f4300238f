// The host probe: what the KVM of this machine can do, found out by running small guests.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/kvm/system.hpp"

namespace stackrig::host {

/// One thing the probe tried.
struct ProbeItem {
    std::string name;       ///< for `requires` of a scenario, for skips and for doctor: "irq.window"
    bool required = false;  ///< without it the rig cannot use this KVM at all
    bool ok = false;
    std::string detail;  ///< what was seen, as a sentence part
};

/// All that was tried, in a fixed order.
struct ProbeReport {
    std::vector<ProbeItem> items;
    bool sufficient = false;  ///< every required item is ok

    /// Whether the item of that name is there and ok.
    [[nodiscard]] bool has(std::string_view name) const;
    /// "step.iretq (debug exit at 0x11001), irq.window (HLT at ...)": the required items that failed.
    [[nodiscard]] std::string why_not() const;
    /// What else was tried.
    void add(const std::vector<ProbeItem>& more);
};

/// Names of all items, in the report's order.
[[nodiscard]] std::vector<std::string> probe_names();

/// Runs the probe: one VM, some twenty entries into it, each under a deadline of 500 ms. A check that fails
/// is an item that is not ok; an error is only what keeps the probe from running at all (KVM_CREATE_VM
/// refused).
[[nodiscard]] Result<ProbeReport> probe(const kvm::System& system);

}  // namespace stackrig::host
