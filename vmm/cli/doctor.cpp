// `doctor`: asks every host, and prints them side by side.
#include <filesystem>
#include <fmt/format.h>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/common.hpp"
#include "vmm/host/doctor.hpp"

namespace stackrig::cli {
namespace {

using host::HostReport;
using host::Json;

constexpr std::chrono::seconds patience{60};

HostReport report_of(const std::string& name, const Result<Json>& answer) {
    HostReport report{.name = name, .error = answer ? "" : answer.error().text, .items = {}};
    if (answer) {
        for (const Json& item : (*answer)["items"]) {
            report.items.push_back({item.value("name", ""), item.value("required", false), item.value("ok", false), item.value("detail", "")});
        }
    }
    return report;
}

Result<Json> ask_virtual(bool npt) {
    const std::string steps = build_paths().steps;
    STACKRIG_TRY_ASSIGN(auto session, open_host({.kind = host::HostKind::virtual_host, .npt = npt}));
    STACKRIG_TRY_ASSIGN(auto worker, session->start_worker({steps}));
    return worker->ask({{"do", "probe"}, {"steps", session->path_there(steps)}}, patience);
}

/// Of the scenarios in ./scenarios; none where there is no such folder.
host::Needs needs() {
    host::Needs needs;
    if (!std::filesystem::exists("scenarios")) {
        return needs;
    }
    if (const auto checked = check_sources({"scenarios"})) {
        for (const CheckedSource& source : checked->good) {
            for (const std::string& capability : source.scenario.capabilities) {
                needs[capability].push_back(source.scenario.title());
            }
        }
    }
    return needs;
}

}  // namespace

int doctor(host::HostKind kind, bool json) {
    std::vector<HostReport> hosts;
    if (kind != host::HostKind::virtual_host) {
        hosts.push_back(report_of("local", host::probe_local(build_paths())));
    }
    if (kind != host::HostKind::local) {
        hosts.push_back(report_of("virtual npt=1", ask_virtual(true)));
        hosts.push_back(report_of("virtual npt=0", ask_virtual(false)));
    }
    fmt::print("{}", json ? host::doctor_json(hosts).dump(2) + "\n" : host::doctor_text(host::machine_facts(), hosts, needs()));
    return host::chosen_host(hosts).empty() ? exit_host : 0;
}

}  // namespace stackrig::cli
