// What several subcommands need: where the build's files are, the scenarios, and how an error ends the process.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/host/session.hpp"
#include "vmm/scenario/scenario.hpp"
#include "vmm/x86/elf.hpp"
#include "vmm/x86/lines.hpp"

namespace stackrig::cli {

/// By the place of the running program.
[[nodiscard]] host::BuildPaths build_paths();

/// The options that choose a host.
struct HostChoice {
    host::HostKind kind = host::HostKind::automatic;
    bool npt = false;
};
/// What went wrong on the way and was made good is noted on standard error.
[[nodiscard]] Result<std::unique_ptr<host::Session>> open_host(const HostChoice& choice);

/// Source lines of the guest; nothing when the build has no table that fits.
[[nodiscard]] std::optional<x86::LineTable> guest_lines(const x86::Elf& guest);

/// Whether text on this descriptor is coloured: a terminal, and neither NO_COLOR (no-color.org) nor TERM=dumb.
[[nodiscard]] bool wants_colour(int descriptor);

/// "error: ..." on standard error; the exit code for it.
int report(const Error& error);

/// All problems on standard error, and that nothing was run; the exit code for it.
int refuse(const scenario::Diagnostics& problems);

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
    x86::Elf guest;                  ///< they were checked against it
};
/// Checks all files against the guest; never stops at the first problem.
[[nodiscard]] Result<CheckedSources> check_sources(const std::vector<std::string>& paths);
/// That of them which is this variant of `file`; "": the file itself. Error: usage.
[[nodiscard]] Result<CheckedSource> pick_variant(const std::vector<CheckedSource>& sources, const std::string& file, const std::string& variant);

}  // namespace stackrig::cli
