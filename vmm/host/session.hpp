// Which host runs the guests, why, and workers on it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/host/virtual_host.hpp"
#include "vmm/host/worker_client.hpp"

namespace stackrig::host {

enum class HostKind { automatic, local, virtual_host };

/// Files of a build.
struct BuildPaths {
    std::string program;  ///< stackrig itself, which is the worker too
    std::string guest;    ///< guest.elf
    std::string lines;    ///< its source lines
    std::string steps;    ///< steps.elf, the guest of the self-test
    std::string agent;
    std::string kernel;   ///< folder with vmlinux and modules/
    std::string states;   ///< folder of saved states of the virtual host
};

struct SessionOptions {
    HostKind kind = HostKind::automatic;
    bool nested_paging = false;  ///< of the virtual host
    BuildPaths paths;
    std::function<void(const std::string&)> say = [](const std::string&) {};  ///< see VirtualHostOptions
};

/// Asks the KVM of this machine what it can do, in a child process, for it may hang or die of it.
/// The answer's "items" are those of the probe and, where that finds enough for it, of the self-test; an error when there is
/// no usable /dev/kvm at all.
[[nodiscard]] Result<Json> probe_local(const BuildPaths& paths);

class Session {
  public:
    /// Chooses. For `automatic`: the local /dev/kvm when the probe finds all that is required, else the virtual host. Errors
    /// (host) say why and what to do.
    static Result<std::unique_ptr<Session>> open(const SessionOptions& options);

    /// "host: virtual (QEMU TCG, kvm-amd npt=0, Linux 6.1), because the local /dev/kvm ...".
    [[nodiscard]] const std::string& headline() const { return headline_; }
    /// A fresh worker; the previous one must be gone. After the virtual host was lost this boots another one. `guests`: more
    /// guest images that it can be asked to run, by path_there().
    [[nodiscard]] Result<std::unique_ptr<WorkerClient>> start_worker(const std::vector<std::string>& guests = {});
    /// Where a worker finds a file that was put beside it.
    [[nodiscard]] std::string path_there(const std::string& file) const;
    /// Any program of the build, for tests: `files` appear beside it.
    [[nodiscard]] Result<std::unique_ptr<Process>> start_program(const std::string& program, const std::vector<std::string>& arguments,
                                                                 const std::vector<std::string>& files);
    /// Forgets the virtual host, so that the next start boots a new one.
    void host_was_lost() { virtual_.reset(); }
    [[nodiscard]] bool is_virtual() const { return virtual_options_.has_value(); }
    /// QEMU's process id, nothing on the local host.
    [[nodiscard]] std::optional<int> qemu_pid() const { return virtual_ ? std::optional(virtual_->pid()) : std::nullopt; }

  private:
    explicit Session(BuildPaths paths) : paths_(std::move(paths)) {}
    [[nodiscard]] Result<void> boot();

    BuildPaths paths_;
    std::string headline_;
    std::optional<VirtualHostOptions> virtual_options_;
    std::unique_ptr<VirtualHost> virtual_;
};

}  // namespace stackrig::host
