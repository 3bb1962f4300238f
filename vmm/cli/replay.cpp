// `replay` and `shrink`: runs with decisions, again.
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/counterexample.hpp"
#include "vmm/cli/gdb.hpp"
#include "vmm/host/bit_exact.hpp"
#include "vmm/host/explore_requests.hpp"
#include "vmm/report/sweep.hpp"
#include "vmm/report/text.hpp"

namespace stackrig::cli {
namespace {

using host::Json;

constexpr std::chrono::seconds patience{600};

struct Opened {
    CheckedSource source;
    std::uint64_t guest = 0;
    std::unique_ptr<host::Session> session;
    std::unique_ptr<host::WorkerClient> worker;
    const ReplayOptions& options;

    /// The worker's answer; bit-exact, that of a virtual host of its own.
    Result<Json> ask(Json request) const {
        if (!options.bit_exact) {
            return worker->ask(request, patience);
        }
        request["ticks"] = true;
        return host::ask_bit_exact(build_paths(), options.host.npt, request, patience);
    }
    [[nodiscard]] std::string headline() const {
        return options.bit_exact ? fmt::format("host: virtual (QEMU TCG with SVM under icount, kvm-amd npt={}), because --bit-exact asks for it", options.host.npt ? 1 : 0)
                                 : session->headline();
    }
};

Result<Opened> open(const ReplayOptions& options, CheckedSources checked) {
    Opened opened{.source = {}, .guest = 0, .session = {}, .worker = {}, .options = options};
    STACKRIG_TRY_ASSIGN(opened.source, pick_variant(checked.good, options.file, options.variant));
    opened.guest = checked.guest.build_hash();
    const auto& recorded = opened.source.scenario.recorded;
    if (recorded && recorded->guest != opened.guest && !options.force) {
        return fail(ErrorKind::usage, fmt::format("{} was found with guest build {:016x}, this is {:016x}: its places may mean something else. "
                                                  "--force replays it all the same",
                                                  options.file, recorded->guest, opened.guest));
    }
    if (!options.bit_exact) {
        STACKRIG_TRY_ASSIGN(opened.session, open_host(options.host));
        STACKRIG_TRY_ASSIGN(opened.worker, opened.session->start_worker());
    }
    return opened;
}

Json request_for(const Opened& opened, const char* what) {
    return {{"do", what}, {"file", opened.source.source.file}, {"text", opened.source.source.text}, {"variant", opened.source.scenario.variant}};
}

/// One stop of a trace, with its registers below it.
std::string full_line(const Json& line) {
    return fmt::format("{}\n{}", line.at("stop").get<std::string>(), report::wrap(line.at("registers").get<std::string>(), 100, 12));
}

/// The first stop in which two traces differ.
std::string first_difference(const Json& a, const Json& b) {
    for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
        const std::string left = i < a.size() ? full_line(a[i]) : "(ended)\n";
        const std::string right = i < b.size() ? full_line(b[i]) : "(ended)\n";
        if (left != right) {
            return fmt::format("  first:  {}  second: {}", left, right);
        }
    }
    return "  (the recorded stops are alike; a register that is not shown differs)\n";
}

Result<int> check_determinism(Opened& opened) {
    Json request = request_for(opened, "replay");
    request["trace"] = true;
    STACKRIG_TRY_ASSIGN(const Json one, opened.ask(request));
    STACKRIG_TRY_ASSIGN(const Json two, opened.ask(request));
    if (one.at("trace_hash") == two.at("trace_hash") && one.at("stops") == two.at("stops") && (!opened.options.bit_exact || one.at("trace") == two.at("trace"))) {
        fmt::print("deterministic: {} stops, trace {} twice{}\n", one.at("stops").get<std::uint64_t>(), one.at("trace_hash").get<std::string>(),
                   opened.options.bit_exact ? ", and the TSC at each stop" : "");
        return 0;
    }
    fmt::print("NONDET: two runs differ, for the first time here:\n{}",
               first_difference(one.at("trace"), two.at("trace")));
    return exit_host;
}

Result<int> replay_file(const ReplayOptions& options, CheckedSources checked) {
    STACKRIG_TRY_ASSIGN(Opened opened, open(options, std::move(checked)));
    fmt::print("{}\n", opened.headline());
    if (options.gdb) {
        Json request = request_for(opened, "gdb");
        request["at"] = options.to.empty() ? "end" : options.to;
        STACKRIG_TRY(serve_gdb(*opened.worker, request, *options.gdb));
        return 0;
    }
    if (!options.to.empty()) {
        Json request = request_for(opened, "inspect");
        request["at"] = options.to;
        STACKRIG_TRY_ASSIGN(const Json answer, opened.ask(request));
        fmt::print("{}", answer.value("text", ""));
        return 0;
    }
    if (options.check_determinism) {
        return check_determinism(opened);
    }
    Json request = request_for(opened, "replay");
    request["trace"] = options.trace || options.registers;
    request["times"] = options.times;
    STACKRIG_TRY_ASSIGN(const Json answer, opened.ask(request));
    for (const auto& line : answer.at("trace")) {
        fmt::print("{}", options.registers ? full_line(line) : line.at("stop").get<std::string>() + "\n");
    }
    for (const auto& decision : answer.at("not_reached")) {
        fmt::print("not reached: {}\n", decision.get<std::string>());
    }
    const std::string trace = answer.at("trace_hash").get<std::string>();
    const auto how = answer.at("how").get<std::string>();
    const bool failed = how == "failed";
    const explore::Finding finding = report::finding_from_json(answer.at("finding"));
    if (failed) {
        fmt::print("{}{}\n", report::finding_text(finding), finding.picture);
    } else {
        fmt::print("{}: {}\n", how, how == "clean" ? "nothing was violated" : finding.text);
    }
    const auto times = answer.at("runs").get<std::uint64_t>();
    const auto same = answer.at("same").get<std::uint64_t>();
    fmt::print("{} stops, trace {}{}\n", answer.at("stops").get<std::uint64_t>(), trace,
               times > 1 ? fmt::format(", the same {} of {} times", same, times) : "");
    const auto& recorded = opened.source.scenario.recorded;
    if (recorded) {
        const bool match = fmt::format("{:016x}", recorded->trace) == trace;
        fmt::print("the trace {} the recorded one\n", match ? "is" : "is NOT");
        return same != times ? exit_host : match ? 0 : 1;
    }
    const bool expected = failed && answer.at("finding").at("invariant") == opened.source.scenario.expect.violation;
    fmt::print("the file holds no trace to compare this one with{}\n", expected ? "; the violation is the one that it expects" : "");
    if (same != times) {
        return exit_host;
    }
    return how == "off schedule" ? exit_usage : expected || (how == "clean" && opened.source.scenario.expect.pass()) ? 0 : 1;
}

Result<int> shrink_file(const ReplayOptions& options, CheckedSources checked) {
    STACKRIG_TRY_ASSIGN(Opened opened, open(options, std::move(checked)));
    if (opened.source.scenario.plan.decisions.empty()) {
        return fail(ErrorKind::usage, fmt::format("{} has no decisions, so there is nothing to leave out: shrink takes away what `decisions` in [run] "
                                                  "lists, not steps of the schedule",
                                                  options.file));
    }
    fmt::print("{}\n", opened.headline());
    STACKRIG_TRY_ASSIGN(const Json answer, opened.ask(request_for(opened, "shrink")));
    explore::Finding finding = report::finding_from_json(answer.at("finding"));
    answer.at("decisions").get_to(finding.decisions);
    const std::uint64_t trace = std::stoull(answer.at("trace_hash").get<std::string>(), nullptr, 16);
    std::error_code ignored;
    std::filesystem::create_directories(options.out, ignored);
    const auto file = std::filesystem::path(options.out) / (counterexample_name(finding) + ".toml");
    std::ofstream(file) << counterexample_text(opened.source.source.text, opened.source.scenario.variant, finding, opened.guest, trace);
    fmt::print("{}{} of {} decisions left, 1-minimal, found in {} runs\n  ./rig replay {}\n", report::finding_text(finding), finding.decisions.size(),
               opened.source.scenario.plan.decisions.size(), answer.at("runs").get<std::uint64_t>(), file.string());
    return 0;
}

int with_checked(const ReplayOptions& options, Result<int> (*what)(const ReplayOptions&, CheckedSources)) {
    auto checked = check_sources({options.file});
    if (!checked) {
        return report(checked.error());
    }
    if (!checked->problems.empty()) {
        return refuse(checked->problems);
    }
    auto code = what(options, std::move(*checked));
    return code ? *code : report(code.error());
}

}  // namespace

int replay(const ReplayOptions& options) { return with_checked(options, replay_file); }

int shrink(const ReplayOptions& options) { return with_checked(options, shrink_file); }

}  // namespace stackrig::cli
