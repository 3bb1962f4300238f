// QMP: commands, their answers, and a descriptor sent along.
#include "vmm/host/qmp.hpp"

#include <array>
#include <chrono>
#include <cstring>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace stackrig::host {
namespace {

/// One message with a descriptor beside it (unix(7), SCM_RIGHTS).
Result<void> send_with(int socket, std::string text, int file) {
    iovec bytes{text.data(), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    if (file >= 0) {
        message.msg_control = space.data();
        message.msg_controllen = space.size();
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(header), &file, sizeof file);
    }
    if (::sendmsg(socket, &message, MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
        return fail_errno(ErrorKind::host, "sendmsg", errno, "to QEMU's monitor");
    }
    return {};
}

}  // namespace

Result<Json> Qmp::next_line(Deadline deadline) {
    for (;;) {
        if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
            const std::string text = buffer_.substr(0, end);
            buffer_.erase(0, end + 1);
            Json line = Json::parse(text, nullptr, false);
            if (line.is_object()) {
                return line;
            }
            return fail(ErrorKind::host, fmt::format("QEMU's monitor does not speak QMP, but says: {}", text));
        }
        pollfd fd{socket_.get(), POLLIN, 0};
        if (::poll(&fd, 1, milliseconds_until(deadline)) == 0) {
            return fail(ErrorKind::host, "QEMU's monitor does not answer");
        }
        std::array<char, 4096> bytes{};
        const ssize_t n = ::read(socket_.get(), bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return fail(ErrorKind::host, "QEMU closed its monitor");
        }
        buffer_.append(bytes.data(), static_cast<std::size_t>(n));
    }
}

Result<Json> Qmp::execute(std::string_view command, const Json& arguments, Deadline deadline, int file) {
    STACKRIG_TRY(send_with(socket_.get(), Json{{"execute", command}, {"arguments", arguments}}.dump() + "\n", file));
    for (;;) {
        STACKRIG_TRY_ASSIGN(const Json line, next_line(deadline));
        if (line.contains("return")) {
            return line["return"];
        }
        if (line.contains("error")) {
            return fail(ErrorKind::host, fmt::format("QEMU refused {}: {}", command, line["error"].value("desc", "")));
        }  // all else are events
    }
}

Result<void> Qmp::begin(Deadline deadline) {
    STACKRIG_TRY(next_line(deadline));
    STACKRIG_TRY(execute("qmp_capabilities", Json::object(), deadline));
    STACKRIG_TRY(execute("migrate-set-capabilities", {{"capabilities", {{{"capability", "x-ignore-shared"}, {"state", true}}}}}, deadline));
    return {};
}

Result<void> Qmp::load_from(int number, Deadline deadline) {
    STACKRIG_TRY(execute("migrate-incoming", {{"uri", fmt::format("fd:{}", number)}}, deadline));
    return {};
}

Result<void> Qmp::save_to(int file, Deadline deadline) {
    STACKRIG_TRY(execute("getfd", {{"fdname", "state"}}, deadline, file));
    STACKRIG_TRY(execute("migrate", {{"uri", "fd:state"}}, deadline));
    for (;;) {
        STACKRIG_TRY_ASSIGN(const Json progress, execute("query-migrate", Json::object(), deadline));
        const std::string status = progress.value("status", "");
        if (status == "completed") {
            return {};
        }
        if (status == "failed" || status == "cancelled") {
            return fail(ErrorKind::host, fmt::format("QEMU could not write the machine's state: {}", progress.value("error-desc", status)));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

Result<void> Qmp::go_on(Deadline deadline) {
    STACKRIG_TRY(execute("cont", Json::object(), deadline));
    return {};
}

}  // namespace stackrig::host
