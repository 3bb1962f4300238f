// Programs on this machine.
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/host/child.hpp"
#include "vmm/host/process.hpp"

namespace stackrig::host {
namespace {

class LocalProcess final : public Process {
  public:
    LocalProcess(pid_t pid, OwnedFd in, OwnedFd out, OwnedFd err)
        : pid_(pid), in_(std::move(in)), out_(std::move(out)), err_(std::move(err)) {}
    ~LocalProcess() override {
        if (pid_ > 0) {
            ::kill(-pid_, SIGKILL);
            (void)reap(pid_);
        }
    }

    Result<void> write(std::string_view bytes) override { return write_all(in_.get(), bytes, "the program's standard input"); }
    Result<void> close_input() override {
        in_ = OwnedFd();
        return {};
    }
    void kill() override {
        if (pid_ > 0) {
            ::kill(-pid_, SIGKILL);
        }
    }
    Result<std::optional<Event>> next(Deadline deadline) override;

  private:
    std::optional<Event> read_from(OwnedFd& fd, bool standard_error);

    pid_t pid_;
    OwnedFd in_, out_, err_;
};

std::optional<Process::Event> LocalProcess::read_from(OwnedFd& fd, bool standard_error) {
    std::string bytes(65536, '\0');
    const ssize_t n = ::read(fd.get(), bytes.data(), bytes.size());
    if (n > 0) {
        bytes.resize(static_cast<std::size_t>(n));
        return Output{standard_error, std::move(bytes)};
    }
    if (n == 0 || errno != EINTR) {
        fd = OwnedFd();
    }
    return std::nullopt;
}

Result<std::optional<Process::Event>> LocalProcess::next(Deadline deadline) {
    while (out_.valid() || err_.valid()) {
        std::array<pollfd, 2> fds{{{out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}}};
        const int ready = ::poll(fds.data(), fds.size(), milliseconds_until(deadline));
        if (ready == 0) {
            return std::nullopt;
        }
        if (fds[0].revents != 0) {
            if (auto event = read_from(out_, false)) {
                return event;
            }
        }
        if (fds[1].revents != 0) {
            if (auto event = read_from(err_, true)) {
                return event;
            }
        }
    }
    if (pid_ < 0) {
        return std::nullopt;
    }
    const pid_t pid = std::exchange(pid_, -1);
    const int status = reap(pid);
    ::kill(-pid, SIGKILL);
    if (WIFSIGNALED(status)) {
        return std::optional<Event>(Ended{Ended::How::signalled, WTERMSIG(status)});
    }
    return std::optional<Event>(Ended{Ended::How::exited, WEXITSTATUS(status)});
}

}  // namespace

std::string describe(const Process::Ended& ended) {
    if (ended.how == Process::Ended::How::exited) {
        return fmt::format("exit status {}", ended.number);
    }
    const char* name = ::sigabbrev_np(ended.number);
    return fmt::format("killed by {}{}", name != nullptr ? "SIG" : "signal ", name != nullptr ? name : std::to_string(ended.number));
}

Result<std::unique_ptr<Process>> start_local(const std::vector<std::string>& argv) {
    STACKRIG_TRY_ASSIGN(Pipe in, make_pipe());
    STACKRIG_TRY_ASSIGN(Pipe out, make_pipe());
    STACKRIG_TRY_ASSIGN(Pipe err, make_pipe());
    STACKRIG_TRY_ASSIGN(const pid_t pid, spawn(argv, {.standard = {in.read.get(), out.write.get(), err.write.get()}, .pass = {}}));
    return std::unique_ptr<Process>(new LocalProcess(pid, std::move(in.write), std::move(out.read), std::move(err.read)));
}

}  // namespace stackrig::host
