// Child processes.
#include "vmm/host/child.hpp"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stackrig::host {
namespace {

constexpr int out_of_the_way = 100;

}  // namespace

OwnedFd::~OwnedFd() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

Result<Pipe> make_pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) {
        return fail_errno(ErrorKind::host, "pipe2");
    }
    return Pipe{OwnedFd(fds[0]), OwnedFd(fds[1])};
}

Result<pid_t> spawn(const std::vector<std::string>& argv, const SpawnFds& fds) {
    std::vector<char*> words;
    for (const std::string& word : argv) {
        words.push_back(const_cast<char*>(word.c_str()));
    }
    words.push_back(nullptr);
    STACKRIG_TRY_ASSIGN(Pipe failure, make_pipe());  // closed by a successful exec, else holds errno
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) {
        return fail_errno(ErrorKind::host, "fork");
    }
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) {
            ::_exit(127);  // the parent died before the line above
        }
        ::setsid();
        // First out of the way of every target number: a source may have the number of another's target.
        const int failure_fd = ::fcntl(failure.write.get(), F_DUPFD_CLOEXEC, out_of_the_way);
        std::vector<std::pair<int, int>> moves = fds.pass;
        for (int fd = 0; fd < 3; ++fd) {
            moves.emplace_back(fds.standard[static_cast<std::size_t>(fd)], fd);
        }
        for (auto& [here, there] : moves) {
            here = ::fcntl(here, F_DUPFD_CLOEXEC, out_of_the_way);
        }
        for (const auto& [here, there] : moves) {
            ::dup2(here, there);
        }
        ::execvp(words[0], words.data());
        const int error = errno;
        (void)!::write(failure_fd, &error, sizeof error);
        ::_exit(127);
    }
    failure.write = OwnedFd();
    int error = 0;
    ssize_t n = 0;
    while ((n = ::read(failure.read.get(), &error, sizeof error)) < 0 && errno == EINTR) {
    }
    if (n == sizeof error) {
        (void)reap(pid);
        return fail_errno(ErrorKind::host, "execvp", error, fmt::format("for {}", argv.front()));
    }
    return pid;
}

int reap(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

Result<void> write_all(int fd, std::string_view bytes, std::string_view what) {
    while (!bytes.empty()) {
        // A peer that is gone must be an error here, not a signal; pipes have no MSG_NOSIGNAL, so cli ignores SIGPIPE.
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return fail_errno(ErrorKind::host, "write", errno, fmt::format("to {}", what));
        }
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

int milliseconds_until(Deadline deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000));
}

}  // namespace stackrig::host
