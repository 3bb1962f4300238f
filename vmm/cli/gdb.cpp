// `--gdb PORT`: lets gdb attach to a guest that stands at a place.
#include "vmm/cli/gdb.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/cli/common.hpp"
#include "vmm/host/gdb_wire.hpp"

namespace stackrig::cli {
namespace {

constexpr std::chrono::seconds patience{60};

/// A descriptor that is closed.
class Socket {
  public:
    explicit Socket(int fd) : fd_(fd) {}
    ~Socket() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    [[nodiscard]] int fd() const { return fd_; }

  private:
    int fd_;
};

/// This machine only: whoever reaches the port owns the guest.
Result<int> listen_on(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 1) != 0) {
        const Unexpected error = fail_errno(ErrorKind::usage, "bind", errno, fmt::format("to port {}; choose another one", port));
        if (fd >= 0) {
            ::close(fd);
        }
        return error;
    }
    return fd;
}

Result<std::uint16_t> port_of(int fd) {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
        return fail_errno(ErrorKind::host, "getsockname");
    }
    return ntohs(address.sin_port);
}

/// One connection, from gdb's first packet to its last.
class Conversation {
  public:
    Conversation(int gdb, host::WorkerClient& worker) : gdb_(gdb), worker_(worker) {}

    Result<void> hold() {
        while (open_) {
            STACKRIG_TRY(receive(running_ ? 0 : -1));
            if (running_) {
                STACKRIG_TRY(ask(interrupted_ ? "\x03" : ""));
                interrupted_ = false;
            }
        }
        return {};
    }

  private:
    /// Waits up to `milliseconds` for bytes (-1: for ever) and answers the packets in them.
    Result<void> receive(int milliseconds) {
        pollfd ready{gdb_, POLLIN, 0};
        if (::poll(&ready, 1, milliseconds) <= 0) {
            return {};
        }
        char bytes[4096];
        const ssize_t n = ::recv(gdb_, bytes, sizeof bytes, 0);
        if (n <= 0) {
            open_ = n < 0 && errno == EINTR;
            return {};
        }
        reader_.feed({bytes, static_cast<std::size_t>(n)});
        while (auto item = reader_.next()) {
            STACKRIG_TRY(take(*item));
        }
        return {};
    }

    Result<void> take(const host::GdbReader::Item& item) {
        using Kind = host::GdbReader::Item::Kind;
        if (item.kind == Kind::interrupt) {
            interrupted_ = running_;
            return {};
        }
        send(item.kind == Kind::damaged ? "-" : "+");
        if (item.kind == Kind::damaged) {
            return {};
        }
        if (item.packet == "k") {
            open_ = false;
            return {};
        }
        STACKRIG_TRY(ask(item.packet));
        open_ = open_ && !item.packet.starts_with("D");
        return {};
    }

    Result<void> ask(const std::string& packet) {
        STACKRIG_TRY_ASSIGN(const host::Json answer, worker_.ask({{"do", "gdb-packet"}, {"packet", packet}}, patience));
        running_ = answer.value("running", false);
        if (!running_) {
            tell(answer.value("news", ""));
            send(host::gdb_frame(answer.value("reply", "")));
        }
        return {};
    }

    /// Here, and on gdb's console.
    void tell(const std::string& news) {
        if (!news.empty()) {
            fmt::print("{}", news);
            std::fflush(stdout);
            send(host::gdb_frame(host::gdb_output(news)));
        }
    }

    void send(const std::string& bytes) {
        for (std::size_t sent = 0; sent < bytes.size();) {
            const ssize_t n = ::send(gdb_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
            if (n <= 0) {
                open_ = false;
                return;
            }
            sent += static_cast<std::size_t>(n);
        }
    }

    int gdb_;
    host::WorkerClient& worker_;
    host::GdbReader reader_;
    bool open_ = true;
    bool running_ = false;
    bool interrupted_ = false;
};

}  // namespace

Result<void> serve_gdb(host::WorkerClient& worker, const host::Json& request, std::uint16_t port) {
    STACKRIG_TRY_ASSIGN(const int fd, listen_on(port));
    const Socket listener(fd);
    STACKRIG_TRY_ASSIGN(const std::uint16_t bound, port_of(fd));
    STACKRIG_TRY_ASSIGN(const host::Json at, worker.ask(request, patience));
    fmt::print("{}\nThe guest stands there. In another terminal, from this folder:\n"
               "    gdb {} -ex 'directory {}' -ex 'target remote :{}'\n"
               "`monitor` draws the picture; each CPU is a thread; `continue` goes on with the schedule, up to what the oracle finds.\n",
               at.value("text", ""), build_paths().guest, std::filesystem::path(build_paths().program).parent_path().string(), bound);
    std::fflush(stdout);
    const Socket gdb(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
    if (gdb.fd() < 0) {
        return fail_errno(ErrorKind::host, "accept");
    }
    return Conversation(gdb.fd(), worker).hold();
}

}  // namespace stackrig::cli
