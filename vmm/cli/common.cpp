// Shared by the subcommands.
#include "vmm/cli/common.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>

#include "vmm/cli/commands.hpp"
#include "vmm/engine/runner.hpp"
#include "vmm/explore/single.hpp"
#include "vmm/host/initramfs.hpp"

namespace stackrig::cli {

namespace fs = std::filesystem;

host::BuildPaths build_paths() {
    const fs::path program = fs::read_symlink("/proc/self/exe");
    const fs::path build = program.parent_path();
    return {.program = program, .guest = build / "guest/guest.elf", .lines = build / "vmm/x86/guest.lines", .steps = build / "guest/steps/steps.elf", .agent = build / "vmm/host/agent", .kernel = build / "host",
            .states = build / "host-states"};
}

Result<std::unique_ptr<host::Session>> open_host(const HostChoice& choice) {
    return host::Session::open({.kind = choice.kind, .nested_paging = choice.npt, .paths = build_paths(),
                                .say = [](const std::string& text) { fmt::print(stderr, "note: {}\n", text); }});
}

std::optional<x86::LineTable> guest_lines(const x86::Elf& guest) {
    auto lines = x86::LineTable::load(build_paths().lines, guest.build_hash());
    return lines ? std::optional(std::move(*lines)) : std::nullopt;
}

bool wants_colour(int descriptor) {
    const char* no_color = std::getenv("NO_COLOR");
    const char* term = std::getenv("TERM");
    const bool refused = (no_color != nullptr && *no_color != '\0') || (term != nullptr && std::string_view(term) == "dumb");
    return !refused && ::isatty(descriptor) != 0;
}

int report(const Error& error) {
    fmt::print(stderr, "error: {}\n", error.text);
    return error.kind == ErrorKind::usage ? exit_usage : exit_host;
}

int refuse(const scenario::Diagnostics& problems) {
    fmt::print(stderr, "{}Nothing was run.\n", scenario::render(problems));
    return exit_usage;
}

Result<std::vector<Source>> read_sources(const std::vector<std::string>& paths) {
    std::vector<std::string> files;
    for (const std::string& path : paths) {
        std::error_code error;
        if (fs::is_directory(path, error)) {
            for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path, error)) {
                if (entry.path().extension() == ".toml") {
                    files.push_back(entry.path().string());
                }
            }
        } else if (fs::exists(path, error)) {
            files.push_back(path);
        } else {
            return fail(ErrorKind::usage, fmt::format("{}: there is no such file or folder", path));
        }
    }
    if (files.empty()) {
        return fail(ErrorKind::usage, fmt::format("{}: no scenario (*.toml) in there", fmt::join(paths, " ")));
    }
    std::sort(files.begin(), files.end());
    files.erase(std::unique(files.begin(), files.end()), files.end());
    std::vector<Source> sources;
    for (const std::string& file : files) {
        auto text = host::read_file(file, "check its permissions");
        if (!text) {
            return fail(ErrorKind::usage, text.error().text);
        }
        sources.push_back({file, std::move(*text)});
    }
    return sources;
}

Result<CheckedSources> check_sources(const std::vector<std::string>& paths) {
    STACKRIG_TRY_ASSIGN(std::vector<Source> sources, read_sources(paths));
    STACKRIG_TRY_ASSIGN(x86::Elf guest, x86::Elf::load(build_paths().guest));
    STACKRIG_TRY(engine::check_guest(guest));
    const explore::GuestSymbols symbols(guest);
    CheckedSources checked;
    for (Source& source : sources) {
        auto scenario = scenario::check(source.text, source.file, symbols);
        if (scenario) {
            for (scenario::Scenario& one : *scenario) {
                checked.good.push_back({source, std::move(one)});
            }
        } else {
            checked.problems.insert(checked.problems.end(), scenario.error().begin(), scenario.error().end());
        }
    }
    checked.guest = std::move(guest);
    return checked;
}

Result<CheckedSource> pick_variant(const std::vector<CheckedSource>& sources, const std::string& file, const std::string& variant) {
    const auto wanted = std::find_if(sources.begin(), sources.end(), [&](const CheckedSource& s) { return s.scenario.variant == variant; });
    if (wanted == sources.end()) {
        std::vector<std::string> names;
        for (const CheckedSource& source : sources) {
            if (!source.scenario.variant.empty()) {
                names.push_back(source.scenario.variant);
            }
        }
        return fail(ErrorKind::usage, names.empty() ? fmt::format("{} has no variants", file)
                                                    : fmt::format("{} has no variant \"{}\", but {}", file, variant, fmt::join(names, ", ")));
    }
    return *wanted;
}

}  // namespace stackrig::cli
