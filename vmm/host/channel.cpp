// Frames over a socket to QEMU's virtio-serial port.
#include "vmm/host/channel.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace stackrig::host {
namespace {

constexpr std::string_view tcg_warning = "warning: TCG doesn't support requested feature";

/// The last 64 KiB, without what is no news.
std::string text_of(int fd) {
    std::string text(65536, '\0');
    const off_t size = ::lseek(fd, 0, SEEK_END);
    const off_t from = std::max<off_t>(0, size - static_cast<off_t>(text.size()));
    const ssize_t n = ::pread(fd, text.data(), text.size(), from);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    text.erase(std::remove(text.begin(), text.end(), '\r'), text.end());
    // QEMU tells at every start what the CPU model has and TCG has not.
    for (std::size_t noise = text.find(tcg_warning); noise != std::string::npos; noise = text.find(tcg_warning)) {
        const std::size_t line = text.rfind('\n', noise) + 1;
        text.erase(line, std::min(text.find('\n', noise), text.size() - 1) + 1 - line);
    }
    return text;
}

/// The last lines, and before them the one that says why a kernel died when a trace follows it.
std::string tail_of(int fd, std::size_t lines) {
    const std::string text = text_of(fd);
    std::size_t at = text.size();
    for (std::size_t seen = 0; at > 0 && seen <= lines; --at) {
        seen += text[at - 1] == '\n' ? 1 : 0;
    }
    const std::size_t from = at == 0 ? 0 : at + 1;
    const std::size_t panic = text.rfind("Kernel panic");
    if (panic == std::string::npos || panic >= from) {
        return text.substr(from);
    }
    const std::size_t line = text.rfind('\n', panic) + 1;
    return text.substr(line, text.find('\n', panic) + 1 - line) + "...\n" + text.substr(from);
}

/// A QEMU that has closed its port is given a moment to end by itself, so that its own reason is told and not ours.
std::string how_it_ended(pid_t qemu) {
    siginfo_t info{};
    const Deadline patience = in(std::chrono::milliseconds(500));
    while (::waitid(P_PID, static_cast<id_t>(qemu), &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0) {
        if (std::chrono::steady_clock::now() > patience) {
            ::kill(-qemu, SIGKILL);
            (void)reap(qemu);
            return "it closed its port and was killed";
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return info.si_code == CLD_EXITED ? fmt::format("QEMU exited with status {}", info.si_status) : fmt::format("QEMU was killed by signal {}", info.si_status);
}

}  // namespace

std::string encode(wire::Type type, std::string_view data) {
    const wire::Header header{wire::magic, static_cast<std::uint32_t>(type), static_cast<std::uint32_t>(data.size())};
    std::string bytes(sizeof header, '\0');
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes.append(data);
}

Result<std::optional<Frame>> FrameReader::next() {
    wire::Header header{};
    if (buffer_.size() < sizeof header) {
        return std::nullopt;
    }
    std::memcpy(&header, buffer_.data(), sizeof header);
    if (header.magic != wire::magic || header.length > wire::max_length) {
        return fail(ErrorKind::rig, fmt::format("the virtual host's port holds no frame but {:#x} {:#x}: an agent of another version? "
                                                "`ninja -C build` builds the one that fits",
                                                header.magic, header.length));
    }
    if (buffer_.size() < sizeof header + header.length) {
        return std::nullopt;
    }
    Frame frame{static_cast<wire::Type>(header.type), buffer_.substr(sizeof header, header.length)};
    buffer_.erase(0, sizeof header + header.length);
    return std::optional<Frame>(std::move(frame));
}

Channel::~Channel() {
    if (qemu_ <= 0) {
        return;
    }
    patience_ = std::chrono::milliseconds(0);  // of a port that is full nothing is to be expected
    if (send(wire::Type::power_off, {})) {
        pollfd gone{port_.get(), POLLIN, 0};
        std::string ignored(65536, '\0');
        const Deadline patience = in(std::chrono::milliseconds(500));
        while (::poll(&gone, 1, milliseconds_until(patience)) > 0 && ::read(port_.get(), ignored.data(), ignored.size()) > 0) {
        }
    }
    ::kill(-qemu_, SIGKILL);
    (void)reap(qemu_);
}

Result<void> Channel::send(wire::Type type, std::string_view data) {
    const std::string bytes = encode(type, data);
    std::string_view rest = bytes;
    const Deadline deadline = in(patience_);
    while (!rest.empty()) {
        const ssize_t n = ::send(port_.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            pollfd full{port_.get(), POLLOUT, 0};
            if (::poll(&full, 1, milliseconds_until(deadline)) == 0) {
                return fail(ErrorKind::host, fmt::format("the virtual host has not taken what was sent for {} ms: QEMU (process {}) hangs, or is stopped.{}", patience_.count(),
                                                         qemu_, last_words()));
            }
            continue;
        }
        if (n <= 0) {
            return lost();
        }
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
}

Result<void> Channel::send_all(wire::Type type, std::string_view data) {
    while (!data.empty()) {
        const std::string_view piece = data.substr(0, wire::max_length);
        STACKRIG_TRY(send(type, piece));
        data.remove_prefix(piece.size());
    }
    return {};
}

Result<std::optional<Frame>> Channel::receive(Deadline deadline) {
    for (;;) {
        STACKRIG_TRY_ASSIGN(auto frame, reader_.next());
        if (frame) {
            return frame;
        }
        pollfd fd{port_.get(), POLLIN, 0};
        const int ready = ::poll(&fd, 1, milliseconds_until(deadline));
        if (ready == 0) {
            return std::nullopt;
        }
        std::string bytes(65536, '\0');
        const ssize_t n = ::read(port_.get(), bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return lost();
        }
        bytes.resize(static_cast<std::size_t>(n));
        reader_.feed(bytes);
    }
}

std::string Channel::last_words() const {
    std::string text;
    if (const std::string words = tail_of(qemu_words_.get(), 4); !words.empty()) {
        text += "\nQEMU said:\n" + words;
    }
    if (const std::string log = tail_of(kernel_log_.get(), 12); !log.empty()) {
        text += "\nThe virtual host's kernel said:\n" + log;
    }
    return text;
}

Unexpected Channel::lost() {
    std::string how = "its port closed";
    if (qemu_ > 0) {
        how = how_it_ended(std::exchange(qemu_, -1));
    }
    return fail(ErrorKind::host, fmt::format("the virtual host is gone: {}. What was finished before is kept; start again.{}", how, last_words()));
}

}  // namespace stackrig::host
