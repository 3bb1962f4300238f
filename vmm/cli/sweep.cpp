// `sweep`: every event at every boundary, shared out among workers, results as they come, counterexamples at the end.
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <unistd.h>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/counterexample.hpp"
#include "vmm/cli/crew.hpp"
#include "vmm/cli/progress.hpp"
#include "vmm/cli/shown.hpp"
#include "vmm/explore/sweep_scenario.hpp"
#include "vmm/host/explore_requests.hpp"
#include "vmm/report/code.hpp"
#include "vmm/report/sweep.hpp"
#include "vmm/report/text.hpp"
#include "vmm/scenario/nearest.hpp"

namespace stackrig::cli {
namespace {

namespace fs = std::filesystem;
using explore::Finding;
using explore::SweepResult;
using host::Json;

constexpr std::chrono::seconds patience{600};
constexpr std::uint64_t least_part = 32;  ///< boundaries in one request
constexpr std::uint64_t replays = 100;

/// What has been done, in memory and in the file, so that a killed sweep goes on where it was.
class Ledger {
  public:
    Ledger(const SweepOptions& options, Json head) : options_(options), head_(std::move(head)) {}

    Result<void> open() {
        if (options_.files.jsonl.empty()) {
            return {};
        }
        if (options_.resume) {
            STACKRIG_TRY(read());
        }
        file_.open(options_.files.jsonl, options_.resume ? std::ios::app : std::ios::trunc);
        if (!file_) {
            return fail(ErrorKind::usage, fmt::format("{}: cannot be written: {}", options_.files.jsonl, errno_text(errno)));
        }
        if (!resumed_) {
            file_ << head_.dump() << std::endl;
        }
        return {};
    }
    [[nodiscard]] bool done(std::uint64_t boundary) const { return done_.contains(boundary); }
    void take(const SweepResult& part) {
        for (std::uint64_t i = part.first; i < part.first + part.count; ++i) {
            done_.insert(i);
        }
        total_.add(part);
        if (file_.is_open()) {
            Json line{{"v", 1}, {"t", "part"}};
            line.update(report::to_json(part));
            file_ << line.dump() << std::endl;  // flushed: whoever is killed loses no finished part
        }
    }
    void write(const Json& line) {
        if (file_.is_open()) {
            file_ << line.dump() << std::endl;
        }
    }
    [[nodiscard]] const SweepResult& total() const { return total_; }
    [[nodiscard]] SweepResult& total() { return total_; }
    [[nodiscard]] std::size_t boundaries_done() const { return done_.size(); }

  private:
    Result<void> read() {
        std::ifstream in(options_.files.jsonl);
        for (std::string line; std::getline(in, line);) {
            const Json json = Json::parse(line, nullptr, false);
            if (json.is_discarded()) {
                continue;  // cut off when it was killed: that part is done again
            }
            if (json.value("t", "") == "sweep") {
                resumed_ = true;
                if (json != head_) {
                    return fail(ErrorKind::usage, fmt::format("{} is of another sweep (scenario, guest or events differ): it cannot be resumed", options_.files.jsonl));
                }
            } else if (json.value("t", "") == "part") {
                STACKRIG_TRY_ASSIGN(const SweepResult part, report::sweep_from_json(json));
                if (!done_.contains(part.first)) {
                    for (std::uint64_t i = part.first; i < part.first + part.count; ++i) {
                        done_.insert(i);
                    }
                    total_.add(part);
                }
            }
        }
        return {};
    }

    const SweepOptions& options_;
    Json head_;
    std::ofstream file_;
    std::set<std::uint64_t> done_;
    SweepResult total_;
    bool resumed_ = false;
};

class SweepRun {
  public:
    SweepRun(const SweepOptions& options, CheckedSource source, engine::SweepPlan plan, std::uint64_t guest, report::Code code, Outputs outputs)
        : options_(options), source_(std::move(source)), plan_(std::move(plan)), guest_(guest), code_(std::move(code)), outputs_(std::move(outputs)),
          ledger_(options, {{"v", 1}, {"t", "sweep"}, {"file", source_.source.file}, {"variant", source_.scenario.variant},
                            {"guest", fmt::format("{:016x}", guest)}, {"plan", host::to_json(plan_)},
                            {"text", source_.source.text}}) {}

    Result<int> go() {
        STACKRIG_TRY(ledger_.open());
        STACKRIG_TRY(work());
        progress_.end();
        return conclude();
    }

  private:
    Result<SweepResult> part(Crew& crew, std::uint64_t from, std::uint64_t count) {
        STACKRIG_TRY_ASSIGN(const Json answer,
                            crew.ask_twice({{"do", "sweep"}, {"file", source_.source.file}, {"text", source_.source.text},
                                              {"variant", source_.scenario.variant}, {"plan", host::to_json(plan_)}, {"verify", options_.verify},
                                              {"first", from}, {"count", count}},
                                             patience));
        return report::sweep_from_json(answer);
    }

    /// All at once from the start: each worker boots a host and walks the run without events for itself.
    Result<void> work() {
        std::vector<std::jthread> others;
        for (std::uint32_t i = 1; i < options_.jobs; ++i) {
            others.emplace_back([this] { note(assist()); });
        }
        note(lead());
        others.clear();  // joins
        if (error_) {
            return tl::make_unexpected(*error_);
        }
        return {};
    }

    void note(const Result<void>& ended) {
        const std::lock_guard lock(mutex_);
        if (!ended && !error_) {
            error_ = ended.error();
        }
        changed_.notify_all();
    }

    /// Finds out what there is to do, and does its part of it.
    Result<void> lead() {
        STACKRIG_TRY_ASSIGN(crew_, Crew::hire(options_.host));
        if (!options_.quiet) {
            fmt::print("{}\n", crew_->session().headline());
        }
        outputs_.begin(run_info(crew_->session().headline(), guest_));
        STACKRIG_TRY_ASSIGN(const SweepResult trunk, part(*crew_, 0, 0));
        share_out(trunk);
        return labour(*crew_);
    }

    Result<void> assist() {
        STACKRIG_TRY_ASSIGN(Crew crew, Crew::hire(options_.host));
        STACKRIG_TRY(part(crew, 0, 0));
        return labour(crew);
    }

    void share_out(const SweepResult& trunk) {
        const std::lock_guard lock(mutex_);
        boundaries_ = trunk.boundaries;
        ledger_.total().add(trunk);
        const std::uint64_t size = std::max(least_part, boundaries_ / (options_.jobs * std::uint64_t{16}) + 1);
        for (std::uint64_t from = 0; from < boundaries_;) {
            if (ledger_.done(from)) {
                ++from;
                continue;
            }
            std::uint64_t to = from;
            while (to < boundaries_ && to - from < size && !ledger_.done(to)) {
                ++to;
            }
            parts_.emplace_back(from, to - from);
            from = to;
        }
        shared_out_ = true;
        changed_.notify_all();
    }

    std::optional<std::pair<std::uint64_t, std::uint64_t>> next_part() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return shared_out_ || error_; });
        if (error_ || next_ == parts_.size()) {
            return std::nullopt;
        }
        return parts_[next_++];
    }

    Result<void> labour(Crew& crew) {
        while (const auto mine = next_part()) {
            STACKRIG_TRY_ASSIGN(const SweepResult done, part(crew, mine->first, mine->second));
            const std::lock_guard lock(mutex_);
            ledger_.take(done);
            progress_.at(ledger_.boundaries_done(), boundaries_, ledger_.total().runs);
        }
        return {};
    }

    Result<int> conclude() {
        SweepResult& total = ledger_.total();
        fmt::print("{}\n", report::coverage_statement(total));
        for (Finding& finding : total.findings) {
            STACKRIG_TRY(explain(finding));
        }
        explore::ScenarioResult result = judged();
        if (options_.files.want_timeline()) {
            result.shown = shown_findings(*crew_, source_, total.findings, guest_, false);
        }
        code_.annotate(result);
        fmt::print("{}{}\n", report::verdict_text(result), result.reason.empty() ? "" : ": " + result.reason);
        const int code = report::exit_code({result});
        ledger_.write({{"v", 1}, {"t", "summary"}, {"findings", total.findings.size()}, {"complete", total.count == boundaries_}, {"exit", code}});
        STACKRIG_TRY(outputs_.end({result}));
        return code;
    }

    /// Those that make this sweep what it is: for the command that shows it again.
    [[nodiscard]] std::string options_as_typed() const {
        std::string words;
        for (const auto& [option, value] : {std::pair{"--events", fmt::format("{}", fmt::join(options_.events, ","))},
                                            std::pair{"--at", fmt::format("{}", fmt::join(options_.at, ","))}, std::pair{"--pairs", options_.pairs}}) {
            words += value.empty() ? "" : fmt::format("{}{} {}", words.empty() ? "" : " ", option, value);
        }
        return words;
    }

    explore::ScenarioResult judged() {
        explore::ScenarioResult result = explore::sweep_result(source_.scenario, ledger_.total());
        result.made_with = options_as_typed();
        if (nondeterministic_) {
            result.verdict = explore::Verdict::error;
            result.reason = fmt::format("NONDET: a counterexample did not replay {} of {} times", replays, replays);
        }
        return result;
    }

    /// The finding as a file of its own, shrunk and replayed.
    Result<void> explain(Finding& finding) {
        const auto text = [&](std::uint64_t trace) { return counterexample_text(source_.source.text, source_.scenario.variant, finding, guest_, trace); };
        const auto ask = [&](Json request, std::uint64_t trace) -> Result<Json> {
            request["file"] = counterexample_name(finding) + ".toml";
            request["text"] = text(trace);
            return crew_->ask_twice(request, patience);
        };
        STACKRIG_TRY_ASSIGN(const Json shrunk, ask({{"do", "shrink"}}, finding.trace_hash));
        shrunk.at("decisions").get_to(finding.decisions);
        shrunk.at("finding").at("also").get_to(finding.also);
        const std::uint64_t trace = std::stoull(shrunk.at("trace_hash").get<std::string>(), nullptr, 16);
        STACKRIG_TRY_ASSIGN(const Json replayed, ask({{"do", "replay"}, {"times", replays}}, trace));
        std::error_code ignored;
        fs::create_directories(options_.out, ignored);
        const fs::path file = fs::path(options_.out) / (counterexample_name(finding) + ".toml");
        std::ofstream(file) << text(trace);
        finding.file = file.string();
        const auto same = replayed.at("same").get<std::uint64_t>();
        fmt::print("{}  {} decision{}, 1-minimal, replayed {} of {}\n{}\n  ./rig replay {}\n\n", report::finding_text(finding), finding.decisions.size(),
                   finding.decisions.size() == 1 ? "" : "s", same, replays, finding.picture, file.string());
        ledger_.write({{"v", 1}, {"t", "finding"}, {"file", file.string()}, {"invariant", finding.id}, {"verdict", finding.verdict},
                       {"object", finding.object}, {"decisions", finding.decisions}, {"count", finding.count}, {"replays", same}});
        if (same != replays) {
            nondeterministic_ = true;
        }
        return {};
    }

    const SweepOptions& options_;
    CheckedSource source_;
    engine::SweepPlan plan_;
    std::uint64_t guest_;
    report::Code code_;
    Outputs outputs_;
    std::optional<Crew> crew_;  ///< of the main thread: a child dies with the thread that has started it
    Ledger ledger_;
    Progress progress_{"boundaries", options_.quiet};
    std::mutex mutex_;  // guards everything below, and ledger_ and progress_ while several work
    std::condition_variable changed_;  ///< shared_out_ or error_
    bool shared_out_ = false;
    std::uint64_t boundaries_ = 0;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> parts_;
    std::size_t next_ = 0;
    std::optional<Error> error_;
    bool nondeterministic_ = false;
};

Result<engine::SweepPlan> plan_of(const SweepOptions& options, const scenario::Scenario& scenario) {
    engine::SweepPlan plan = scenario.sweep.value_or(engine::SweepPlan{});
    if (!options.events.empty()) {
        plan.events.clear();
        plan.allocations = false;
    }
    for (const std::string& word : options.events) {
        if (auto event = scenario::sweep_event(word)) {
            plan.events.push_back(std::move(*event));
        } else if (word == "alloc") {
            plan.allocations = true;
        } else {
            return fail(ErrorKind::usage, fmt::format("\"{}\" is nothing to sweep; there are {}", word, fmt::join(scenario::sweep_words(), ", ")));
        }
    }
    if (plan.events.empty() && !plan.allocations) {
        return fail(ErrorKind::usage, fmt::format("{} has no [explore] table: say what to sweep, for example --events nmi,irq,mc", scenario.file));
    }
    if (!options.at.empty()) {
        plan.functions = options.at;
    }
    plan.pairs = scenario::pairs_from(options.pairs).value_or(plan.pairs);
    return plan;
}

}  // namespace

int sweep(const SweepOptions& options) {
    auto checked = check_sources({options.file});
    if (!checked) {
        return report(checked.error());
    }
    if (!checked->problems.empty()) {
        return refuse(checked->problems);
    }
    const x86::Elf& guest = checked->guest;
    for (const std::string& function : options.at) {
        if (!guest.find(function)) {
            const auto meant = scenario::nearest(function, guest.names());
            return report({ErrorKind::usage, fmt::format("--at {}: the guest has no such function{}", function,
                                                         meant ? fmt::format("; did you mean \"{}\"?", *meant) : "")});
        }
    }
    const auto wanted = pick_variant(checked->good, options.file, options.variant);
    if (!wanted) {
        return report(wanted.error());
    }
    auto plan = plan_of(options, wanted->scenario);
    if (!plan) {
        return report(plan.error());
    }
    auto outputs = Outputs::open({.junit = options.files.junit, .html = options.files.html});
    if (!outputs) {
        return report(outputs.error());
    }
    auto code = report::Code::create(guest, guest_lines(guest));
    if (!code) {
        return report(code.error());
    }
    const auto swept = SweepRun(options, *wanted, std::move(*plan), guest.build_hash(), std::move(*code), std::move(*outputs)).go();
    return swept ? *swept : report(swept.error());
}

}  // namespace stackrig::cli
