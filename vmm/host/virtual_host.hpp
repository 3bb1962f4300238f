// The virtual KVM host: QEMU's TCG with SVM, a distribution kernel with kvm-amd, and our agent, running our programs.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/host/process.hpp"
#include "vmm/host/saved_state.hpp"

namespace stackrig::host {

class VirtualHost;

struct VirtualHostOptions {
    std::string folder;          ///< holds vmlinux and modules/, see fetch-kernel.sh
    std::string agent;           ///< the static agent program
    bool nested_paging = false;  ///< kvm-amd npt=1 or 0 (0: faster restores, stale TLB entries are real)
    std::string states;          ///< folder of saved machine states; empty: always boot, never save
    unsigned memory_mib = 512;
    std::chrono::milliseconds boot_patience{30'000};  ///< until the agent is ready, on the busiest of machines; then one more try
    std::chrono::milliseconds load_patience{20'000};  ///< until a loaded machine answers; then it is booted
    std::chrono::milliseconds send_patience{20'000};  ///< with a QEMU that takes nothing any more
    std::string qemu = "qemu-system-x86_64";
    /// What to do in a machine before it is saved, so that what it leaves behind is there after every load.
    std::function<Result<void>(VirtualHost&)> warm_up;
    /// Told of what went wrong and was made good: a state that could not be loaded or saved, a boot that stalled.
    std::function<void(const std::string&)> say = [](const std::string&) {};
};

/// A file to appear in the virtual host before a program starts.
struct HostFile {
    std::string here;
    std::string there;
};

/// What has to be there for a program to run: itself, its shared libraries and its loader, then `files`. Error (host): its
/// loader cannot be asked.
[[nodiscard]] Result<std::vector<HostFile>> program_files(const std::string& program, const std::vector<HostFile>& files);
/// Where program_files() puts the program.
[[nodiscard]] std::string program_there(const std::string& program);
/// A job's words as the exec frame has them.
[[nodiscard]] std::string packed_words(const std::string& program, const std::vector<std::string>& arguments);

class Channel;

/// Runs one program at a time. QEMU dies with this object and with this process.
class VirtualHost {
  public:
    /// Loads the saved state there is, or boots, and then saves one. Errors (host), told apart: no QEMU, no kernel or agent,
    /// QEMU refused (its words), kernel panic or boot stall (the end of the kernel's log).
    static Result<std::unique_ptr<VirtualHost>> start(const VirtualHostOptions& options);
    ~VirtualHost();

    /// Puts `program`, its shared libraries and `files` there, those that are not there yet, and starts it with `arguments`.
    /// The previous program must have ended. The process must not outlive this object.
    [[nodiscard]] Result<std::unique_ptr<Process>> run(const std::string& program, const std::vector<std::string>& arguments,
                                                       const std::vector<HostFile>& files);

    [[nodiscard]] const std::string& kernel() const { return facts_.kernel; }
    /// From a saved state rather than by booting.
    [[nodiscard]] bool was_loaded() const { return was_loaded_; }
    /// QEMU's process id, for tests that kill it.
    [[nodiscard]] int pid() const;

  private:
    friend class VirtualHostStart;
    VirtualHost(std::unique_ptr<Channel> channel, StateFacts facts, bool was_loaded);
    [[nodiscard]] Result<void> put(const HostFile& file);

    std::unique_ptr<Channel> channel_;
    StateFacts facts_;
    bool was_loaded_;
};

}  // namespace stackrig::host
