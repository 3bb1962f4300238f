// vrun [--npt 0|1] [--put FILE]... PROGRAM ARGS...: runs a program inside the virtual host; for people who debug KVM tests.
#include <csignal>
#include <cstdio>
#include <string>
#include <unistd.h>
#include <vector>

#include "vmm/host/virtual_host.hpp"

using namespace stackrig;

namespace {

int say(const Error& error) {
    std::fprintf(stderr, "vrun: %s\n", error.text.c_str());
    return 3;
}

int follow(host::Process& process) {
    for (;;) {
        auto event = process.next(host::in(std::chrono::hours(1)));
        if (!event) {
            return say(event.error());
        }
        if (!*event) {
            continue;
        }
        if (const auto* output = std::get_if<host::Process::Output>(&**event)) {
            (void)!::write(output->standard_error ? 2 : 1, output->bytes.data(), output->bytes.size());
            continue;
        }
        const auto& ended = std::get<host::Process::Ended>(**event);
        if (ended.how == host::Process::Ended::How::signalled) {
            std::fprintf(stderr, "vrun: the program was %s\n", host::describe(ended).c_str());
            return 128 + ended.number;
        }
        return ended.number;
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    const std::string here(argv[0]);
    const std::string folder = here.substr(0, here.rfind('/') + 1);  // BUILD/vmm/host/
    host::VirtualHostOptions options{.folder = folder + "../../host", .agent = folder + "agent"};
    std::vector<host::HostFile> files;
    int at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        const std::string option(argv[at]);
        const std::string value(argv[at + 1]);
        if (option == "--npt") {
            options.nested_paging = value == "1";
        } else if (option == "--put") {
            files.push_back({value, "/job/" + value.substr(value.rfind('/') + 1)});
        }
    }
    if (at >= argc) {
        std::fprintf(stderr, "usage: vrun [--npt 0|1] [--put FILE]... PROGRAM ARGS...   (files appear in /job)\n");
        return 2;
    }
    auto machine = host::VirtualHost::start(options);
    if (!machine) {
        return say(machine.error());
    }
    auto process = (*machine)->run(argv[at], {argv + at + 1, argv + argc}, files);
    if (!process) {
        return say(process.error());
    }
    (void)(*process)->close_input();
    return follow(**process);
}
