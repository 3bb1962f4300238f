// Looking at this machine for the doctor.
#include <algorithm>
#include <array>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vmm/host/child.hpp"
#include "vmm/host/doctor.hpp"

namespace stackrig::host {
namespace {

std::string cpu_name() {
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("model name")) {
            return line.substr(std::min(line.find(": ") + 2, line.size()));
        }
    }
    return "";
}

std::string kvm_modules() {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/sys/module", error)) {
        if (const std::string name = entry.path().filename().string(); name.starts_with("kvm")) {
            names.push_back(name);
        }
    }
    std::sort(names.begin(), names.end());
    return fmt::format("{}", fmt::join(names, " "));
}

}  // namespace

DeviceFacts device_facts(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
        return {};
    }
    const passwd* const user = ::getpwuid(info.st_uid);
    const group* const owners = ::getgrgid(info.st_gid);
    const OwnedFd device(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    return {.state = device.valid() ? DeviceFacts::State::open : DeviceFacts::State::forbidden,
            .access = fmt::format("{}:{} {:04o}", user != nullptr ? user->pw_name : std::to_string(info.st_uid),
                                  owners != nullptr ? owners->gr_name : std::to_string(info.st_gid), info.st_mode & 07777)};
}

MachineFacts machine_facts() {
    utsname name{};
    ::uname(&name);
    return {.kernel = fmt::format("{} {}", name.sysname, name.release), .cpu = cpu_name(), .modules = kvm_modules(), .device = device_facts("/dev/kvm")};
}

}  // namespace stackrig::host
