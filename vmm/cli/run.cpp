// `run`: scenarios through a worker, results as they come.
#include <chrono>
#include <fmt/format.h>
#include <unistd.h>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/common.hpp"
#include "vmm/cli/gdb.hpp"
#include "vmm/report/claims.hpp"
#include "vmm/report/code.hpp"
#include "vmm/report/depths.hpp"
#include "vmm/report/failure.hpp"
#include "vmm/report/json.hpp"
#include "vmm/report/ktap.hpp"
#include "vmm/report/text.hpp"

namespace stackrig::cli {
namespace {

using explore::ScenarioResult;
using explore::Verdict;

constexpr std::chrono::seconds patience{60};
constexpr std::size_t most_moments = 600;  ///< of one run in the reports that draw: its last ones

/// Prints results in the chosen format.
class Printer {
  public:
    Printer(const RunOptions& options, std::size_t scenarios)
        : options_(options), paint_(wants_colour(STDOUT_FILENO)), count_(scenarios) {}

    void headline(const std::string& text) {
        if (options_.ktap) {
            fmt::print("{}", report::ktap_header(count_));
        }
        line(options_.ktap ? "# " + text : text);
        std::fflush(stdout);
    }

    void result(const ScenarioResult& r) {
        ++done_;
        clear_progress();
        if (options_.ktap) {
            fmt::print("{}", report::ktap_result(done_, r));
        } else {
            const bool fine = explore::as_expected(r.verdict);
            if (!fine || !options_.quiet) {
                line(report::result_line(r, paint_));
            }
            if (options_.verbose || (!fine && r.verdict != Verdict::skip)) {
                fmt::print("\n{}\n", report::result_details(r, paint_));
            }
        }
        progress();
        std::fflush(stdout);
    }

    void end(const std::vector<ScenarioResult>& results) {
        clear_progress();
        if (!options_.ktap) {
            for (const std::string& part : {report::claims_table(results), report::depth_table(results), report::summary(results)}) {
                fmt::print("{}{}", part.empty() ? "" : "\n", part);
            }
        }
        std::fflush(stdout);
    }

  private:
    void line(const std::string& text) { fmt::print("{}\n", text); }
    void progress() {
        if (::isatty(STDERR_FILENO) != 0 && !options_.quiet && done_ < count_) {
            fmt::print(stderr, "\r{} of {}", done_, count_);
        }
    }
    void clear_progress() {
        if (::isatty(STDERR_FILENO) != 0 && !options_.quiet) {
            fmt::print(stderr, "\r\033[K");
        }
    }

    const RunOptions& options_;
    report::Paint paint_;
    std::size_t count_;
    std::size_t done_ = 0;
};

ScenarioResult lost(const CheckedSource& source, const Error& error) {
    ScenarioResult result{.file = source.source.file, .name = source.scenario.title(), .why = source.scenario.why,
                          .claims = source.scenario.claims, .hazards = source.scenario.hazards, .reading = source.scenario.reading};
    result.verdict = Verdict::error;
    result.reason = error.text;
    return result;
}

/// Runs one scenario; a worker that dies of it loses this one and nothing else.
ScenarioResult run_one(host::Session& session, std::unique_ptr<host::WorkerClient>& worker, const CheckedSource& source,
                       const RunOptions& options) {
    if (!worker) {
        auto started = session.start_worker();
        if (!started) {
            return lost(source, started.error());
        }
        worker = std::move(*started);
    }
    host::Json request{{"do", "run"}, {"file", source.source.file}, {"text", source.source.text}, {"variant", source.scenario.variant}};
    if (options.files.want_timeline()) {
        request["timeline"] = most_moments;
        request["timeline_of_passes"] = options.verbose;
    }
    auto answer = worker->ask(request, patience);
    if (!answer) {
        worker.reset();
        session.host_was_lost();
        return lost(source, answer.error());
    }
    auto result = report::result_from_json(*answer);
    return result ? std::move(*result) : lost(source, result.error());
}

}  // namespace

int run(const RunOptions& options) {
    auto checked = check_sources(options.paths);
    if (!checked) {
        return report(checked.error());
    }
    if (!checked->problems.empty()) {
        return refuse(checked->problems);
    }
    if (options.variant) {
        std::erase_if(checked->good, [&](const CheckedSource& s) { return s.scenario.variant != *options.variant; });
        if (checked->good.empty()) {
            return report({ErrorKind::usage, fmt::format("no variant \"{}\" in {}; ./rig list --in PATH shows what there is", *options.variant,
                                                         fmt::join(options.paths, " "))});
        }
    }
    Printer printer(options, checked->good.size());
    const auto code = report::Code::create(checked->guest, guest_lines(checked->guest));
    if (!code) {
        return report(code.error());
    }
    auto outputs = Outputs::open(options.files);
    if (!outputs) {
        return report(outputs.error());
    }
    auto session = host::Session::open({.kind = options.host, .nested_paging = options.npt, .paths = build_paths()});
    if (!session) {
        return report(session.error());
    }
    printer.headline((*session)->headline());
    outputs->begin(run_info((*session)->headline(), checked->guest.build_hash()));
    std::unique_ptr<host::WorkerClient> worker;
    std::vector<ScenarioResult> results;
    for (const CheckedSource& source : checked->good) {
        results.push_back(run_one(**session, worker, source, options));
        code->annotate(results.back());
        printer.result(results.back());
        outputs->result(results.back());
    }
    printer.end(results);
    if (const auto written = outputs->end(results); !written) {
        return report(written.error());
    }
    return report::exit_code(results);
}

int inspect(const InspectOptions& options) {
    auto sources = read_sources({options.file});
    if (!sources) {
        return report(sources.error());
    }
    auto session = host::Session::open({.kind = options.host, .nested_paging = options.npt, .paths = build_paths()});
    if (!session) {
        return report(session.error());
    }
    fmt::print("{}\n", (*session)->headline());
    auto worker = (*session)->start_worker();
    if (!worker) {
        return report(worker.error());
    }
    if (options.gdb) {
        const auto served = serve_gdb(**worker, {{"do", "gdb"}, {"file", sources->front().file}, {"text", sources->front().text}, {"at", options.at}, {"variant", options.variant}},
                                      *options.gdb);
        return served ? 0 : report(served.error());
    }
    auto answer = (*worker)->ask({{"do", "inspect"}, {"file", sources->front().file}, {"text", sources->front().text}, {"at", options.at}, {"variant", options.variant}}, patience);
    if (!answer) {
        return report(answer.error());
    }
    fmt::print("{}", answer->value("text", ""));
    return 0;
}

}  // namespace stackrig::cli
