// `run`: scenarios through a worker, results as they come.
#include <atomic>
#include <chrono>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <unistd.h>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/crew.hpp"
#include "vmm/cli/gdb.hpp"
#include "vmm/cli/shown.hpp"
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
constexpr std::chrono::seconds long_patience{600};  // for sweeps, and when every instruction is stepped

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

    /// Results may come in any order; they are printed in that of the scenarios.
    void result(std::size_t number, const ScenarioResult& r) {
        waiting_.emplace(number, r);
        clear_progress();
        while (!waiting_.empty() && waiting_.begin()->first == done_) {
            ++done_;
            print(waiting_.begin()->second);
            waiting_.erase(waiting_.begin());
        }
        progress();
        std::fflush(stdout);
    }

    void end(const std::vector<ScenarioResult>& results) {
        clear_progress();
        if (!options_.ktap && options_.quiet) {
            fmt::print("{}", report::summary(results));
        } else if (!options_.ktap) {
            for (const std::string& part : {report::claims_table(results), report::depth_table(results), report::summary(results)}) {
                fmt::print("{}{}", part.empty() ? "" : "\n", part);
            }
        }
        std::fflush(stdout);
    }

  private:
    void print(const ScenarioResult& r) {
        if (options_.ktap) {
            fmt::print("{}", report::ktap_result(done_, r));
            return;
        }
        const bool fine = explore::as_expected(r.verdict);
        if (!fine || !options_.quiet) {
            line(report::result_line(r, paint_));
        }
        if (options_.verbose || (!fine && r.verdict != Verdict::skip)) {
            fmt::print("\n{}\n", report::result_details(r, paint_));
        }
    }

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
    std::size_t done_ = 0;  ///< and printed
    std::map<std::size_t, ScenarioResult> waiting_;
};

ScenarioResult lost(const CheckedSource& source, const Error& error) {
    ScenarioResult result{.file = source.source.file, .name = source.scenario.title(), .why = source.scenario.why,
                          .claims = source.scenario.claims, .hazards = source.scenario.hazards, .reading = source.scenario.reading};
    result.verdict = Verdict::error;
    result.reason = error.text;
    result.unrunnable = error.kind == ErrorKind::usage;
    return result;
}

/// Runs one scenario; a worker that dies of it loses this one and nothing else.
ScenarioResult run_one(Crew& crew, const CheckedSource& source, const RunOptions& options, std::uint64_t guest) {
    host::Json request{{"do", "run"}, {"file", source.source.file}, {"text", source.source.text}, {"variant", source.scenario.variant}};
    if (options.every_instruction) {
        request["check"] = "instruction";
    }
    if (options.files.want_timeline()) {
        request["timeline"] = most_moments;
        request["timeline_of_passes"] = options.verbose;
    }
    auto answer = crew.ask(request, options.every_instruction || source.scenario.sweep ? long_patience : patience);
    if (!answer) {
        return lost(source, answer.error());
    }
    auto result = report::result_from_json(*answer);
    if (!result) {
        return lost(source, result.error());
    }
    result->made_with = options.every_instruction ? "--every-instruction" : "";
    if (options.files.want_timeline() && result->sweep) {
        result->shown = shown_findings(crew, source, result->sweep->findings, guest, options.every_instruction);
    }
    return std::move(*result);
}

/// All scenarios, shared out among workers. `finished` is called for each as it ends, one at a time; the results are in the
/// order of the sources.
class Shift {
  public:
    using Finished = std::function<void(std::size_t, ScenarioResult&)>;
    Shift(const RunOptions& options, const std::vector<CheckedSource>& sources, std::uint64_t guest, Finished finished)
        : options_(options), sources_(sources), guest_(guest), finished_(std::move(finished)), results_(sources.size()) {}

    std::vector<ScenarioResult> work(Crew& first) {
        std::vector<std::jthread> others;
        for (std::uint32_t i = 1; i < options_.jobs && i < sources_.size(); ++i) {
            others.emplace_back([this] {
                auto crew = Crew::hire(options_.host);
                if (crew) {
                    labour(*crew);
                } else {  // the first one does it all then
                    fmt::print(stderr, "note: one worker less: {}\n", crew.error().text);
                }
            });
        }
        labour(first);
        others.clear();  // joins
        return std::move(results_);
    }

  private:
    void labour(Crew& crew) {
        for (std::size_t mine = 0; (mine = next_++) < sources_.size();) {
            ScenarioResult result = run_one(crew, sources_[mine], options_, guest_);
            const std::lock_guard lock(mutex_);
            finished_(mine, result);
            results_[mine] = std::move(result);
        }
    }

    const RunOptions& options_;
    const std::vector<CheckedSource>& sources_;
    std::uint64_t guest_;  ///< its build
    Finished finished_;
    std::atomic<std::size_t> next_ = 0;
    std::mutex mutex_;  // guards all below, and finished_
    std::vector<ScenarioResult> results_;
};

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
    auto crew = Crew::hire(options.host);
    if (!crew) {
        return report(crew.error());
    }
    printer.headline(crew->session().headline());
    outputs->begin(run_info(crew->session().headline(), checked->guest.build_hash()));
    Shift shift(options, checked->good, checked->guest.build_hash(), [&](std::size_t number, ScenarioResult& result) {
        code->annotate(result);
        outputs->result(result);
        printer.result(number, result);
    });
    const std::vector<ScenarioResult> results = shift.work(*crew);
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
    auto session = open_host(options.host);
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
