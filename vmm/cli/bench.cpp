// `bench`: the benchmark program of the build, on the chosen host.
#include "vmm/cli/commands.hpp"
#include "vmm/cli/common.hpp"

namespace stackrig::cli {

int bench(const HostChoice& host, bool json, const std::string& only) {
    const host::BuildPaths paths = build_paths();
    const std::string folder = paths.program.substr(0, paths.program.rfind('/'));
    std::vector<std::string> command{folder + "/tests/bench/stackrig_bench"};
    if (json) {
        command.push_back("--benchmark_format=json");
    }
    if (!only.empty()) {
        command.push_back("--benchmark_filter=" + only);
    }
    return exec(host, {paths.guest}, command, json ? stderr : stdout);  // whoever asks for JSON parses the output
}

}  // namespace stackrig::cli
