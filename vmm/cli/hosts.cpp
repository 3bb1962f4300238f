// `exec`, and the worker's own entry.
#include <fmt/format.h>
#include <unistd.h>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/common.hpp"
#include "vmm/host/worker.hpp"

namespace stackrig::cli {
namespace {

int pass_on(host::Process& process) {
    for (;;) {
        auto event = process.next(host::in(std::chrono::hours(1)));
        if (!event) {
            return report(event.error());
        }
        if (!*event) {
            continue;
        }
        if (const auto* output = std::get_if<host::Process::Output>(&**event)) {
            std::FILE* to = output->standard_error ? stderr : stdout;
            std::fwrite(output->bytes.data(), 1, output->bytes.size(), to);
            std::fflush(to);
            continue;
        }
        const auto& ended = std::get<host::Process::Ended>(**event);
        if (ended.how == host::Process::Ended::How::exited) {
            return ended.number;
        }
        fmt::print(stderr, "the program was {}\n", host::describe(ended));
        return 128 + ended.number;
    }
}

}  // namespace

int exec(const HostChoice& host, const std::vector<std::string>& files, const std::vector<std::string>& command, std::FILE* headline_to) {
    auto session = open_host(host);
    if (!session) {
        return report(session.error());
    }
    fmt::print(headline_to, "{}\n", (*session)->headline());
    std::fflush(headline_to);
    auto process = (*session)->start_program(command.front(), {command.begin() + 1, command.end()}, files);
    if (!process) {
        return report(process.error());
    }
    (void)(*process)->close_input();
    return pass_on(**process);
}

int worker(const std::string& guest) {
    const auto served = host::serve(STDIN_FILENO, STDOUT_FILENO, guest);
    return served ? 0 : report(served.error());
}

}  // namespace stackrig::cli
