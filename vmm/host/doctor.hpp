// What `doctor` says: hosts side by side, what each gap costs, what to do about it. Text from facts; it asks nobody.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "vmm/host/probe.hpp"
#include "vmm/host/stream.hpp"

namespace stackrig::host {

struct HostReport {
    std::string name;               ///< "local", "virtual npt=0"
    std::string error;              ///< why it could not be asked; empty when it could
    std::vector<ProbeItem> items;   ///< of probe() and self_test()

    /// It could be asked, and every required item is ok.
    [[nodiscard]] bool usable() const;
};

/// A device file as this process finds it.
struct DeviceFacts {
    enum class State { absent, forbidden, open } state = State::absent;
    std::string access;  ///< "root:kvm 0660"
};

struct MachineFacts {
    std::string kernel;   ///< "Linux 6.1.0"
    std::string cpu;      ///< by /proc/cpuinfo
    std::string modules;  ///< "kvm kvm_amd": what is loaded of KVM
    DeviceFacts device;   ///< /dev/kvm
};
/// Looks at this machine. What cannot be read is empty.
[[nodiscard]] MachineFacts machine_facts();
[[nodiscard]] DeviceFacts device_facts(const std::string& path);

/// Capability -> the scenarios whose `requires` names it.
using Needs = std::map<std::string, std::vector<std::string>>;

/// The one that --host auto takes: the local one if it is usable, else the virtual one with npt=0; empty: none.
[[nodiscard]] std::string chosen_host(const std::vector<HostReport>& hosts);
/// For people, and to be pasted into a report of a bug.
[[nodiscard]] std::string doctor_text(const MachineFacts& machine, const std::vector<HostReport>& hosts, const Needs& needs);
[[nodiscard]] Json doctor_json(const std::vector<HostReport>& hosts);

}  // namespace stackrig::host
