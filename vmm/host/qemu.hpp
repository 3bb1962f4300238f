// Starting QEMU as the virtual host's machine: booting it, or loading it from a saved state.
#pragma once

#include <memory>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/host/channel.hpp"
#include "vmm/host/child.hpp"
#include "vmm/host/qmp.hpp"
#include "vmm/host/virtual_host.hpp"

namespace stackrig::host {

/// A QEMU that has just been started.
struct Machine {
    std::unique_ptr<Channel> channel;
    Qmp monitor;
};

/// What QEMU gets to see of this machine.
struct MachineFiles {
    int initrd;
    int ram;
    int devices = -1;  ///< of a saved state: what load_from() is to load, as descriptor `devices_number` there
};
inline constexpr int devices_number = 14;

/// Boots (RAM is then shared with the file, which may be saved) or waits for load_from() (RAM is then the file's content, and
/// the file stays as it is). Errors (host): no QEMU.
[[nodiscard]] Result<Machine> launch(const VirtualHostOptions& options, const MachineFiles& files);

/// Boots a machine whose time is the count of its instructions and which nothing reaches from outside: two of the same
/// initrd are the same to the tick. The channel only receives. Errors (host): no QEMU.
[[nodiscard]] Result<std::unique_ptr<Channel>> launch_sealed(const VirtualHostOptions& options, int initrd);

/// All that a saved state of this machine depends on. Errors (host): a part of it is missing.
[[nodiscard]] Result<std::string> machine_identity(const VirtualHostOptions& options, std::string_view initramfs);

/// A file in memory; its descriptor is all there is of it. Error (host).
[[nodiscard]] Result<OwnedFd> memory_file(const char* name);

}  // namespace stackrig::host
