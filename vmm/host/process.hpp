// A running program, here or in the virtual host: its three streams and its end.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vmm/base/result.hpp"

namespace stackrig::host {

using Deadline = std::chrono::steady_clock::time_point;

[[nodiscard]] inline Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

class Process {
  public:
    struct Output {
        bool standard_error = false;
        std::string bytes;
    };
    struct Ended {
        enum class How { exited, signalled } how = How::exited;
        int number = 0;  ///< exit status or signal
    };
    using Event = std::variant<Output, Ended>;

    virtual ~Process() = default;
    [[nodiscard]] virtual Result<void> write(std::string_view bytes) = 0;
    [[nodiscard]] virtual Result<void> close_input() = 0;
    /// The next event; nothing when `deadline` comes first. After Ended there is none. An error: the host itself was lost,
    /// and why.
    [[nodiscard]] virtual Result<std::optional<Event>> next(Deadline deadline) = 0;
    /// SIGKILL for it and all it started; its end still comes as an event.
    virtual void kill() = 0;
};

/// "exit status 3", "killed by SIGSEGV".
[[nodiscard]] std::string describe(const Process::Ended& ended);

/// Starts a program on this machine. It dies with this process, whatever kills that, and takes its children along when this
/// object goes away.
[[nodiscard]] Result<std::unique_ptr<Process>> start_local(const std::vector<std::string>& argv);

}  // namespace stackrig::host
