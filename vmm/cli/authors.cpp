// `new` and `fmt`: for those who write scenarios.
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/common.hpp"
#include "vmm/scenario/format.hpp"
#include "vmm/scenario/skeleton.hpp"

namespace stackrig::cli {
namespace {

namespace fs = std::filesystem;

bool write(const std::string& file, const std::string& text) {
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    return out.good();
}

int unwritable(const std::string& file) {
    return report({ErrorKind::usage, fmt::format("{}: cannot be written: {}", file, errno_text(errno))});
}

/// As an editor finds it from the new file; empty when the tree has none.
std::string schema_from(const fs::path& file) {
    std::error_code error;
    const fs::path schema = fs::absolute("docs/scenario.schema.json");
    return fs::exists(schema, error) ? schema.lexically_normal().lexically_relative(fs::absolute(file).lexically_normal().parent_path()).string()
                                     : "";
}

}  // namespace

int new_scenario(const std::string& file) {
    const fs::path path = fs::path(file).extension() == ".toml" ? fs::path(file) : fs::path(file + ".toml");
    if (!scenario::good_name(path.stem().string())) {
        return report({ErrorKind::usage, fmt::format("\"{}\" is no name for a scenario: use a-z, 0-9 and -", path.stem().string())});
    }
    std::error_code error;
    if (fs::exists(path, error)) {
        return report({ErrorKind::usage, fmt::format("{} exists; it stays as it is", path.string())});
    }
    fs::create_directories(path.parent_path(), error);
    if (!write(path, scenario::skeleton(path.stem().string(), schema_from(path)))) {
        return unwritable(path);
    }
    fmt::print("{} is there, and passes as it is: ./rig run {}\n", path.string(), path.string());
    return 0;
}

int format(const std::vector<std::string>& paths, bool only_check) {
    const auto sources = read_sources(paths);
    if (!sources) {
        return report(sources.error());
    }
    scenario::Diagnostics problems;
    std::size_t changed = 0;
    for (const Source& source : *sources) {
        const auto formatted = scenario::format(source.text, source.file);
        if (!formatted) {
            problems.insert(problems.end(), formatted.error().begin(), formatted.error().end());
            continue;
        }
        if (*formatted == source.text) {
            continue;
        }
        ++changed;
        fmt::print("{}{}\n", source.file, only_check ? " is not formatted" : "");
        if (!only_check && !write(source.file, *formatted)) {
            return unwritable(source.file);
        }
    }
    if (!problems.empty()) {
        fmt::print(stderr, "{}", scenario::render(problems));
        return exit_usage;
    }
    fmt::print("{} of {} file{} {}\n", changed, sources->size(), sources->size() == 1 ? "" : "s", only_check ? "would change" : "changed");
    return only_check && changed > 0 ? 1 : 0;
}

}  // namespace stackrig::cli
