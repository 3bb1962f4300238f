// Editing a scenario's text line by line: TOML writers would lose its order and its comments.
#include "vmm/cli/counterexample.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <vector>

namespace stackrig::cli {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        lines.push_back(line);
    }
    return lines;
}

bool is_header(const std::string& line) { return !line.empty() && line.front() == '['; }

bool sets(const std::string& line, const std::string& key) {
    if (!line.starts_with(key)) {
        return false;
    }
    const std::size_t at = line.find_first_not_of(" \t", key.size());
    return at != std::string::npos && line[at] == '=';
}

/// Lines a value goes on over: until its brackets are closed.
std::size_t lines_of_value(const std::vector<std::string>& lines, std::size_t at) {
    int open = 0;
    for (std::size_t i = at; i < lines.size(); ++i) {
        for (const char c : lines[i]) {
            open += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
        }
        if (open <= 0) {
            return i - at + 1;
        }
    }
    return lines.size() - at;
}

/// Without the tables of these names.
std::vector<std::string> without_tables(const std::vector<std::string>& lines, const std::vector<std::string>& names) {
    std::vector<std::string> kept;
    bool skip = false;
    for (const std::string& line : lines) {
        if (is_header(line)) {
            skip = std::any_of(names.begin(), names.end(), [&](const std::string& n) { return line.starts_with("[" + n + "]") || line.starts_with("[" + n + "."); });
        }
        if (!skip) {
            kept.push_back(line);
        }
    }
    return kept;
}

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    }
    return out + "\"";
}

}  // namespace

std::string counterexample_name(const explore::Finding& finding) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const std::string& decision : finding.decisions) {
        for (const char c : decision) {
            hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
        }
    }
    std::string what = finding.id.empty() ? finding.verdict : finding.id;
    std::transform(what.begin(), what.end(), what.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return fmt::format("cx-{}-{:08x}", what, hash & 0xffffffff);
}

std::string counterexample_text(const std::string& source, const std::string& name, const explore::Finding& finding, std::uint64_t guest,
                                std::uint64_t trace) {
    const std::vector<std::string> lines = without_tables(lines_of(source), {"explore", "replay", "variants"});
    std::string decisions = "decisions = [";
    for (const std::string& decision : finding.decisions) {
        decisions += fmt::format("{}{}", decisions.back() == '[' ? "" : ", ", quoted(decision));
    }
    decisions += "]";
    std::string out;
    bool top = true;
    bool in_run = false;
    bool run_seen = false;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::string& line = lines[i];
        top = top && !is_header(line);
        in_run = is_header(line) ? line.starts_with("[run]") : in_run;
        if ((top && sets(line, "expect")) || (in_run && sets(line, "decisions"))) {
            i += lines_of_value(lines, i) - 1;
            continue;
        }
        if (top && sets(line, "name")) {
            out += fmt::format("name = \"{}\"\n", name);
            if (!finding.id.empty()) {
                out += fmt::format("expect = {{ violation = \"{}\" }}\n", finding.id);
            }
            continue;
        }
        out += line + "\n";
        if (line.starts_with("[run]")) {
            run_seen = true;
            out += decisions + "\n";
        }
    }
    if (!run_seen) {
        out += "\n[run]\n" + decisions + "\n";
    }
    return out + fmt::format("\n[replay]\nguest = \"{:016x}\"\ntrace = \"{:016x}\"\n", guest, trace);
}

}  // namespace stackrig::cli
