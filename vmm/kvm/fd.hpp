// Fd: owns one file descriptor.
#pragma once

#include <unistd.h>

#include <utility>

namespace stackrig::kvm {

/// Move-only owner of a file descriptor; closes it.
class Fd final {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_ = -1;
};

}  // namespace stackrig::kvm
