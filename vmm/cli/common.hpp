// What several subcommands need: where the build's files are, the scenarios, and how an error ends the process.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/host/session.hpp"
#include "vmm/scenario/scenario.hpp"
#include "vmm/x86/elf.hpp"

namespace stackrig::cli {

/// By the place of the running program.
[[nodiscard]] host::BuildPaths build_paths();

/// "error: ..." on standard error; the exit code for it.
int report(const Error& error);

struct Source {
    std::string file;
    std::string text;
};
/// Files as named, folders searched for *.toml, sorted by path. Error (usage): a path that does not exist, or no file at all.
[[nodiscard]] Result<std::vector<Source>> read_sources(const std::vector<std::string>& paths);

struct CheckedSource {
    Source source;
    scenario::Scenario scenario;
};
struct CheckedSources {
    std::vector<CheckedSource> good;
    scenario::Diagnostics problems;  ///< of all files
    std::uint64_t guest_build = 0;   ///< of the guest they were checked against
};
/// Checks all files against the guest; never stops at the first problem.
[[nodiscard]] Result<CheckedSources> check_sources(const std::vector<std::string>& paths);

}  // namespace stackrig::cli
