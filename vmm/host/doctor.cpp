// The doctor's table and advice.
#include "vmm/host/doctor.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace stackrig::host {
namespace {

constexpr std::size_t name_width = 26;
constexpr std::size_t host_width = 15;

const ProbeItem* find(const HostReport& host, const std::string& name) {
    const auto found = std::find_if(host.items.begin(), host.items.end(), [&](const ProbeItem& item) { return item.name == name; });
    return found == host.items.end() ? nullptr : &*found;
}

/// All names, in the order of the host that has most to say.
std::vector<const ProbeItem*> rows_of(const std::vector<HostReport>& hosts) {
    std::vector<const ProbeItem*> rows;
    for (const HostReport& host : hosts) {
        for (const ProbeItem& item : host.items) {
            if (std::none_of(rows.begin(), rows.end(), [&](const ProbeItem* row) { return row->name == item.name; })) {
                rows.push_back(&item);
            }
        }
    }
    return rows;
}

std::string table(const std::vector<HostReport>& hosts) {
    std::string text = fmt::format("{:<{}}", "capability", name_width);
    for (const HostReport& host : hosts) {
        text += fmt::format("{:<{}}", host.name, host_width);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += "\n";
    for (const ProbeItem* row : rows_of(hosts)) {
        std::string line = fmt::format("{:<{}}", row->name + (row->required ? " *" : ""), name_width);
        for (const HostReport& host : hosts) {
            const ProbeItem* item = find(host, row->name);
            line += fmt::format("{:<{}}", item == nullptr ? "-" : item->ok ? "yes" : "no", host_width);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text + "* the rig does not use a KVM without it. rule.*: exact stepping and exact delivery rest on it; looked at where the rest is there.\n";
}

std::string cost_of(const ProbeItem& item, const Needs& needs) {
    if (item.required) {
        return "the rig does not use this host";
    }
    const auto scenarios = needs.find(item.name);
    if (scenarios == needs.end()) {
        return "no scenario requires it";
    }
    return fmt::format("skipped there, each counted: {}", fmt::join(scenarios->second, ", "));
}

std::string gaps(const HostReport& host, const Needs& needs) {
    if (!host.error.empty()) {
        return fmt::format("\n{}: {}\n", host.name, host.error);
    }
    std::string text;
    for (const ProbeItem& item : host.items) {
        if (!item.ok) {
            text += fmt::format("  {}: {}\n    -> {}\n", item.name, item.detail, cost_of(item, needs));
        }
    }
    return fmt::format("\n{} lacks{}\n{}", host.name, text.empty() ? " nothing." : ":", text);
}

bool breaks_a_rule(const HostReport& host) {
    return std::any_of(host.items.begin(), host.items.end(), [](const ProbeItem& item) { return !item.ok && item.name.starts_with("rule."); });
}

std::string advice_on_local(const MachineFacts& machine, const HostReport& local) {
    switch (machine.device.state) {
        case DeviceFacts::State::absent:
            return "There is no /dev/kvm. On a CPU with VMX or SVM: switch it on in the firmware's setup, then, as root, modprobe kvm-intel or\n"
                   "modprobe kvm-amd. In a container: --device /dev/kvm. In a virtual machine: its host must allow nested virtualisation.\n";
        case DeviceFacts::State::forbidden:
            return fmt::format("/dev/kvm is there ({}) and this user may not open it. Join its group and log in anew:\n"
                               "    sudo usermod -aG kvm $USER\n"
                               "or, where every user may (CI), let udev say so:\n"
                               "    echo 'KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0666\", OPTIONS+=\"static_node=kvm\"' | sudo tee /etc/udev/rules.d/99-kvm.rules\n"
                               "    sudo udevadm control --reload-rules && sudo udevadm trigger --name-match=kvm\n",
                               machine.device.access);
        case DeviceFacts::State::open: break;
    }
    if (local.usable()) {
        return "";
    }
    if (breaks_a_rule(local)) {
        return "The local KVM has all the rig needs but breaks a rule above, so that its verdicts could not be trusted: it is not used.\n"
               "Please report it, with all of this text.\n";
    }
    return fmt::format("The local KVM does not behave as VMX or SVM do (modules: {}). Nothing can be done about it here; the virtual host does instead.\n",
                       machine.modules.empty() ? "none to be seen" : machine.modules);
}

}  // namespace

bool HostReport::usable() const {
    return error.empty() && std::all_of(items.begin(), items.end(), [](const ProbeItem& item) { return item.ok || !item.required; });
}

std::string chosen_host(const std::vector<HostReport>& hosts) {
    for (const char* name : {"local", "virtual npt=0"}) {
        const auto found = std::find_if(hosts.begin(), hosts.end(), [name](const HostReport& host) { return host.name == name; });
        if (found != hosts.end() && found->usable()) {
            return name;
        }
    }
    return "";
}

std::string doctor_text(const MachineFacts& machine, const std::vector<HostReport>& hosts, const Needs& needs) {
    constexpr const char* states[] = {"absent", "forbidden", "this user may open it"};
    std::string text = fmt::format("kernel: {}\ncpu: {}\nKVM modules: {}\n/dev/kvm: {}{}\n\n{}", machine.kernel, machine.cpu, machine.modules.empty() ? "none" : machine.modules,
                                   states[static_cast<std::size_t>(machine.device.state)], machine.device.access.empty() ? "" : ", " + machine.device.access, table(hosts));
    for (const HostReport& host : hosts) {
        text += gaps(host, needs);
    }
    for (const HostReport& host : hosts) {
        const std::string advice = host.name == "local" ? advice_on_local(machine, host) : "";
        text += advice.empty() ? "" : "\n" + advice;
    }
    const std::string chosen = chosen_host(hosts);
    return text + (chosen.empty() ? "\nNo host can run the guest.\n" : fmt::format("\n./rig run would use: {}\n", chosen));
}

Json doctor_json(const std::vector<HostReport>& hosts) {
    Json out = Json::object();
    for (const HostReport& host : hosts) {
        if (!host.error.empty()) {
            out[host.name] = {{"error", host.error}};
            continue;
        }
        Json items = Json::array();
        for (const ProbeItem& item : host.items) {
            items.push_back({{"name", item.name}, {"required", item.required}, {"ok", item.ok}, {"detail", item.detail}});
        }
        out[host.name] = {{"items", items}, {"sufficient", host.usable()}};
    }
    return out;
}

}  // namespace stackrig::host
