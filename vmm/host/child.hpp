// Starting and ending child processes: descriptors, pipes, and a child that never outlives its parent.
#pragma once

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/host/process.hpp"

namespace stackrig::host {

class OwnedFd {
  public:
    OwnedFd() = default;
    explicit OwnedFd(int fd) : fd_(fd) {}
    OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    OwnedFd& operator=(OwnedFd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~OwnedFd();
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool valid() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

struct Pipe {
    OwnedFd read, write;
};
[[nodiscard]] Result<Pipe> make_pipe();

struct SpawnFds {
    std::array<int, 3> standard;            ///< become 0, 1, 2
    std::vector<std::pair<int, int>> pass;  ///< descriptor here -> number there
};
/// fork and exec in a session of its own, killed when this process dies. An error when the program cannot be executed.
[[nodiscard]] Result<pid_t> spawn(const std::vector<std::string>& argv, const SpawnFds& fds);

/// waitpid() until it has ended; its wait status.
[[nodiscard]] int reap(pid_t pid);

[[nodiscard]] Result<void> write_all(int fd, std::string_view bytes, std::string_view what);

/// For poll(): 0 when past, rounded up otherwise.
[[nodiscard]] int milliseconds_until(Deadline deadline);

}  // namespace stackrig::host
