// Writing report files.
#include "vmm/cli/outputs.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include "vmm/report/github.hpp"
#include "vmm/report/html.hpp"
#include "vmm/report/jsonl.hpp"
#include "vmm/report/junit.hpp"
#include "vmm/report/perfetto.hpp"

namespace stackrig::cli {
namespace {

Unexpected unwritable(ErrorKind kind, const std::string& file) {
    return fail(kind, fmt::format("{}: cannot be written: {}", file, errno_text(errno)));
}

Result<void> write_file(const std::string& file, const std::string& text, std::ios::openmode mode = std::ios::trunc) {
    std::ofstream out(file, std::ios::binary | mode);
    out << text;
    out.close();
    if (!out) {
        return unwritable(ErrorKind::host, file);
    }
    return {};
}

const char* environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

Result<void> tell_github(const report::RunInfo& info, const std::vector<explore::ScenarioResult>& results) {
    if (std::string_view(environment("GITHUB_ACTIONS")) != "true") {
        return {};
    }
    // Standard error is read for commands as well, and standard output may be KTAP.
    fmt::print(stderr, "{}", report::github_annotations(results));
    if (const std::string page = environment("GITHUB_STEP_SUMMARY"); !page.empty()) {
        return write_file(page, report::github_summary(info, results), std::ios::app);
    }
    return {};
}

}  // namespace

Result<Outputs> Outputs::open(const OutputFiles& files) {
    Outputs outputs;
    outputs.files_ = files;
    std::vector<std::string> named;
    for (const std::string& file : {files.jsonl, files.junit, files.html, files.perfetto}) {
        if (file.empty()) {
            continue;
        }
        if (std::find(named.begin(), named.end(), file) != named.end()) {
            return fail(ErrorKind::usage, fmt::format("{}: named for two reports; each needs a file of its own", file));
        }
        named.push_back(file);
        // Appending nothing leaves an older report as it is until there is a new one.
        if (errno = 0; !std::ofstream(file, std::ios::app)) {
            return unwritable(ErrorKind::usage, file);
        }
    }
    if (!files.jsonl.empty()) {
        outputs.jsonl_.open(files.jsonl, std::ios::trunc);
    }
    return outputs;
}

void Outputs::begin(report::RunInfo info) {
    info_ = std::move(info);
    if (jsonl_.is_open()) {
        jsonl_ << report::jsonl_host(info_) << std::flush;
    }
}

void Outputs::result(const explore::ScenarioResult& result) {
    if (jsonl_.is_open()) {
        jsonl_ << report::jsonl_result(info_, result) << std::flush;
    }
}

Result<void> Outputs::end(const std::vector<explore::ScenarioResult>& results) {
    if (jsonl_.is_open()) {
        jsonl_ << report::jsonl_summary(results) << std::flush;
        if (!jsonl_) {
            return unwritable(ErrorKind::host, files_.jsonl);
        }
    }
    if (!files_.junit.empty()) {
        STACKRIG_TRY(write_file(files_.junit, report::junit(info_, results)));
    }
    if (!files_.html.empty()) {
        STACKRIG_TRY(write_file(files_.html, report::html(info_, results)));
    }
    if (!files_.perfetto.empty()) {
        STACKRIG_TRY(write_file(files_.perfetto, report::perfetto(info_, results)));
    }
    return tell_github(info_, results);
}

report::RunInfo run_info(std::string headline, std::uint64_t guest_build) {
    char machine[256] = {};
    if (::gethostname(machine, sizeof machine - 1) != 0) {
        machine[0] = '\0';
    }
    return {.host = std::move(headline),
            .machine = machine,
            .started = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))),
            .guest_build = fmt::format("{:016x}", guest_build)};
}

}  // namespace stackrig::cli
