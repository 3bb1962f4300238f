// `doctor`, `exec`, and the worker's own entry.
#include <fmt/format.h>
#include <unistd.h>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/common.hpp"
#include "vmm/host/worker.hpp"

namespace stackrig::cli {
namespace {

using host::Json;

std::string verdict_of(const Json& items, const std::string& name) {
    for (const Json& item : items) {
        if (item.value("name", "") == name) {
            return item.value("ok", false) ? "yes" : "no";
        }
    }
    return "-";
}

/// Capability by capability, one column per host.
void print_table(const std::vector<std::pair<std::string, Result<Json>>>& hosts) {
    const Json* names = nullptr;
    fmt::print("{:<24}{:<10}", "capability", "required");
    for (const auto& [name, report] : hosts) {
        fmt::print("{:<16}", name);
        names = report ? &(*report)["items"] : names;
    }
    fmt::print("\n");
    if (names == nullptr) {
        return;
    }
    for (const Json& item : *names) {
        const std::string name = item.value("name", "");
        fmt::print("{:<24}{:<10}", name, item.value("required", false) ? "yes" : "");
        for (const auto& [host, report] : hosts) {
            fmt::print("{:<16}", report ? verdict_of((*report)["items"], name) : "-");
        }
        fmt::print("\n");
    }
    for (const auto& [host, report] : hosts) {
        if (!report) {
            fmt::print("\n{}: {}\n", host, report.error().text);
            continue;
        }
        for (const Json& item : (*report)["items"]) {
            if (!item.value("ok", false)) {
                fmt::print("\n{}: {} is missing: {}", host, item.value("name", ""), item.value("detail", ""));
            }
        }
        fmt::print("\n");
    }
}

Result<Json> probe_virtual(bool npt) {
    STACKRIG_TRY_ASSIGN(auto session, open_host({.kind = host::HostKind::virtual_host, .npt = npt}));
    STACKRIG_TRY_ASSIGN(auto worker, session->start_worker());
    return worker->ask({{"do", "probe"}}, std::chrono::seconds(20));
}

bool usable(const Result<Json>& report) { return report && report->value("sufficient", false); }

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

int doctor(host::HostKind kind, bool json) {
    const host::BuildPaths paths = build_paths();
    std::vector<std::pair<std::string, Result<Json>>> hosts;
    if (kind != host::HostKind::virtual_host) {
        hosts.emplace_back("local", host::probe_local(paths));
    }
    if (kind != host::HostKind::local) {
        hosts.emplace_back("virtual npt=0", probe_virtual(false));
        hosts.emplace_back("virtual npt=1", probe_virtual(true));
    }
    if (json) {
        Json out;
        for (const auto& [name, report] : hosts) {
            out[name] = report ? *report : Json{{"error", report.error().text}};
        }
        fmt::print("{}\n", out.dump(2));
    } else {
        print_table(hosts);
    }
    std::string chosen;
    for (const auto& [name, report] : hosts) {
        if (chosen.empty() && usable(report)) {
            chosen = name;
        }
    }
    if (!json) {
        fmt::print("\n{}\n", chosen.empty() ? "No host can run the guest." : fmt::format("./rig run would use: {}", chosen));
    }
    return chosen.empty() ? exit_host : 0;
}

int exec(const HostChoice& host, const std::vector<std::string>& files, const std::vector<std::string>& command) {
    auto session = open_host(host);
    if (!session) {
        return report(session.error());
    }
    fmt::print("{}\n", (*session)->headline());
    std::fflush(stdout);
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
