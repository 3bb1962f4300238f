// The virtual KVM host: QEMU's TCG with SVM, a distribution kernel with kvm-amd, and our agent, running our programs.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/host/process.hpp"

namespace stackrig::host {

struct VirtualHostOptions {
    std::string folder;          ///< holds vmlinux and modules/, see fetch-kernel.sh
    std::string agent;           ///< the static agent program
    bool nested_paging = false;  ///< kvm-amd npt=1 or 0 (0: faster restores, stale TLB entries are real)
    unsigned memory_mib = 512;
    std::chrono::milliseconds boot_patience{8000};  ///< until the agent is ready; then one more try
    std::string qemu = "qemu-system-x86_64";
};

/// A file to appear in the virtual host before a program starts.
struct HostFile {
    std::string here;
    std::string there;
};

class Channel;

/// Runs one program at a time. QEMU dies with this object and with this process.
class VirtualHost {
  public:
    /// Boots. Errors (host), told apart: no QEMU, no kernel or agent, QEMU refused (its words), kernel panic or boot stall
    /// (the end of the kernel's log).
    static Result<std::unique_ptr<VirtualHost>> start(const VirtualHostOptions& options);
    ~VirtualHost();

    /// Puts `program`, its shared libraries and `files` there and starts it with `arguments`. The previous program must
    /// have ended. The process must not outlive this object.
    [[nodiscard]] Result<std::unique_ptr<Process>> run(const std::string& program, const std::vector<std::string>& arguments,
                                                       const std::vector<HostFile>& files);

    [[nodiscard]] const std::string& kernel() const { return kernel_; }
    /// QEMU's process id, for tests that kill it.
    [[nodiscard]] int pid() const;

  private:
    explicit VirtualHost(std::unique_ptr<Channel> channel);
    std::unique_ptr<Channel> channel_;
    std::string kernel_;
};

}  // namespace stackrig::host
