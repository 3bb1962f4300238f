// The framed port of a running QEMU, and what there is to say when it breaks.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/host/child.hpp"
#include "vmm/host/wire.hpp"

namespace stackrig::host {

struct Frame {
    wire::Type type;
    std::string data;
};

/// Cuts bytes into frames.
class FrameReader {
  public:
    void feed(std::string_view bytes) { buffer_ += bytes; }
    /// Nothing: more bytes are needed. Error (rig): this is no frame stream.
    [[nodiscard]] Result<std::optional<Frame>> next();

  private:
    std::string buffer_;
};

[[nodiscard]] std::string encode(wire::Type type, std::string_view data);

class Channel {
  public:
    /// `patience`: with a port that is full.
    Channel(pid_t qemu, OwnedFd port, OwnedFd kernel_log, OwnedFd qemu_words, std::chrono::milliseconds patience)
        : qemu_(qemu), port_(std::move(port)), kernel_log_(std::move(kernel_log)), qemu_words_(std::move(qemu_words)), patience_(patience) {}
    /// Asks the agent to power off, gives it a moment, then kills.
    ~Channel();
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    /// Errors (host): as receive(), and a QEMU that takes nothing any more.
    [[nodiscard]] Result<void> send(wire::Type type, std::string_view data);
    /// Any amount of data, cut into frames.
    [[nodiscard]] Result<void> send_all(wire::Type type, std::string_view data);
    /// Nothing at the deadline. Error (host): QEMU is gone or the kernel died, with what they said last.
    [[nodiscard]] Result<std::optional<Frame>> receive(Deadline deadline);
    /// Why the port is dead, or what the boot was doing: the ends of the kernel's log and of QEMU's own words.
    [[nodiscard]] std::string last_words() const;
    [[nodiscard]] int pid() const { return qemu_; }

  private:
    [[nodiscard]] Unexpected lost();
    pid_t qemu_;
    OwnedFd port_, kernel_log_, qemu_words_;
    std::chrono::milliseconds patience_;
    FrameReader reader_;
};

}  // namespace stackrig::host
