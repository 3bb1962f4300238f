// `soak`: random placements in everything that has to be clean; an alarm is a bug of the guest, the oracle or the engine.
#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "vmm/cli/commands.hpp"
#include "vmm/cli/crew.hpp"
#include "vmm/cli/progress.hpp"
#include "vmm/cli/soak_tally.hpp"
#include "vmm/report/sweep.hpp"

namespace stackrig::cli {
namespace {

using explore::Finding;
using explore::SweepResult;
using host::Json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds patience{1200};
// Of one scenario in one round. Walking its trunk costs as much as thousands of runs.
constexpr std::uint64_t fewest_in_visit = 200;
constexpr std::uint64_t most_in_visit = 20'000;
constexpr std::uint64_t most_broken = 10;

/// Whether the scheme under test is one that has to be clean: fixed stacks, or all repairs.
bool must_be_clean(const scenario::Scenario& scenario) {
    const bool clean = scenario.reading == scenario::Reading::repaired || scenario.reading == scenario::Reading::baseline;
    const bool small = scenario.plan.guest.crowd == 0;  // the way of a crowd is too long to keep all its boundaries
    return clean && small && scenario.expect.pass() && !scenario.sweep;
}

/// The stream of one visit: by the soak's seed, the scenario's name and the round (FNV-1a).
std::uint64_t stream(std::uint64_t seed, const std::string& title, std::uint64_t round) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : fmt::format("{} {} {}", seed, title, round)) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    return hash;
}

class Soak {
  public:
    Soak(const SoakOptions& options, std::vector<CheckedSource> sources) : options_(options), sources_(std::move(sources)) {}

    Result<int> go() {
        STACKRIG_TRY_ASSIGN(tally_, SoakTally::open(options_.tally, options_.seed, sources_.size()));
        first_ = tally_.kept() ? tally_.next_visit() / sources_.size() : options_.first;
        next_ = tally_.kept() ? tally_.next_visit() % sources_.size() : 0;
        in_visit_ = std::clamp((options_.runs + sources_.size() - 1) / sources_.size(), fewest_in_visit, most_in_visit);
        const std::uint64_t per_round = in_visit_ * sources_.size();
        rounds_ = (options_.runs + per_round - 1) / per_round;
        std::vector<std::jthread> others;
        for (std::uint32_t i = 0; i < options_.jobs; ++i) {
            others.emplace_back([this] { labour(); });
        }
        others.clear();  // joins
        if (error_) {
            return tl::make_unexpected(*error_);
        }
        return conclude();
    }

  private:
    struct Visit {
        const CheckedSource* source;
        std::uint64_t round;
        std::uint64_t index;  ///< through all rounds
    };

    /// Without a tally time is looked at between rounds, so that what was run can be named.
    std::optional<Visit> next_visit() {
        const std::lock_guard lock(mutex_);
        const std::uint64_t round = next_ / sources_.size();
        const bool late = options_.minutes != 0 && Clock::now() - start_ > std::chrono::minutes(options_.minutes);
        if (error_ || round == rounds_ || (late && (tally_.kept() || next_ % sources_.size() == 0))) {
            rounds_ = round;
            return std::nullopt;
        }
        const std::uint64_t index = first_ * sources_.size() + next_;
        return Visit{&sources_[next_++ % sources_.size()], first_ + round, index};
    }

    void labour() {
        const auto worked = [this]() -> Result<void> {
            STACKRIG_TRY_ASSIGN(Crew crew, Crew::hire(options_.host));
            headline(crew.session().headline());
            while (const auto visit = next_visit()) {
                STACKRIG_TRY(pay(crew, *visit));
            }
            return {};
        }();
        if (!worked) {
            const std::lock_guard lock(mutex_);
            error_ = worked.error();
        }
    }

    Result<void> pay(Crew& crew, const Visit& visit) {
        const CheckedSource& source = *visit.source;
        const std::string title = source.scenario.title();
        const auto answer = crew.ask_twice({{"do", "sample"}, {"file", source.source.file}, {"text", source.source.text},
                                        {"variant", source.scenario.variant}, {"plan", {{"events", Json::array()}, {"at", Json::array()}, {"user", true}}},
                                        {"seed", stream(options_.seed, title, visit.round)}, {"runs", in_visit_}},
                                       patience);
        if (!answer && answer.error().kind == ErrorKind::usage) {
            return leave_out(visit, answer.error().text);
        }
        if (!answer) {
            return break_off(visit, answer.error().text);
        }
        STACKRIG_TRY_ASSIGN(const SweepResult result, report::sweep_from_json(*answer));
        const std::lock_guard lock(mutex_);
        const std::uint64_t alarms_before = alarms_;
        const std::uint64_t predicates_before = predicates_;
        runs_ += result.runs;
        stops_ += result.stops;
        for (const auto& [event, cell] : result.coverage.count("anywhere") != 0 ? result.coverage.at("anywhere") : std::map<std::string, explore::Cell>{}) {
            cell_.add(cell);
        }
        for (const Finding& finding : result.findings) {
            take(finding, title, visit.round);
        }
        STACKRIG_TRY(tally_.note(visit.index,
                                 {.runs = result.runs, .alarms = alarms_ - alarms_before, .predicates = predicates_ - predicates_before, .stops = result.stops}));
        progress_.at(++visited_, rounds_ * sources_.size(), runs_, fmt::format(", {} runs, {} alarms", runs_, alarms_));
        return {};
    }

    /// A run that is too long to keep.
    Result<void> leave_out(const Visit& visit, const std::string& why) {
        const std::lock_guard lock(mutex_);
        left_out_.insert(why);
        return tally_.note(visit.index, {});
    }

    /// A visit that the rig could not make to its end. The others are worth having all the same.
    Result<void> break_off(const Visit& visit, const std::string& why) {
        const std::lock_guard lock(mutex_);
        ++broken_;
        progress_.end();
        fmt::print("BROKEN OFF {}, seed {}, round {}: {}\n", visit.source->scenario.title(), options_.seed, visit.round, why);
        std::fflush(stdout);
        if (broken_ == most_broken) {
            return fail(ErrorKind::rig, fmt::format("{} visits in this soak were broken off, so the rest would be no better", broken_));
        }
        return tally_.note(visit.index, {.alarms = 1});
    }

    /// What the scenario itself says of its run may well be false in another one: only the invariants hold in each.
    void take(const Finding& finding, const std::string& title, std::uint64_t round) {
        if (finding.verdict == "predicate") {
            predicates_ += finding.count;
            return;
        }
        alarms_ += finding.count;
        progress_.end();
        fmt::print("ALARM {} in {}, round {} ({} times): {}\n  {}\n  first by \"{}\"\n{}\n", finding.id.empty() ? finding.verdict : finding.id, title, round,
                   finding.count, finding.text, finding.where, finding.decisions.front(), finding.picture);
        std::fflush(stdout);
    }

    void headline(const std::string& text) {
        const std::lock_guard lock(mutex_);
        if (!told_) {
            fmt::print("{}\n{} scenario{} of the repaired scheme and of fixed stacks, seed {}, one or two events each time\n", text, sources_.size(),
                       sources_.size() == 1 ? "" : "s", options_.seed);
            std::fflush(stdout);
        }
        told_ = true;
    }

    [[nodiscard]] double seconds() const { return std::max(0.001, std::chrono::duration<double>(Clock::now() - start_).count()); }

    int conclude() const {
        progress_.end();
        fmt::print("{} injected runs, seed {}, rounds {} to {}: {} alarm{}\n"
                   "  {} executed, {} of them rejoined the run without events, {} ended off the schedule, {} out of their budget, {} not delivered exactly\n"
                   "  {} ended at a predicate of the scenario, which speaks of the run without events\n"
                   "  {} stops judged; {:.0f} s, {:.0f} runs a second with {} worker{}\n"
                   "  more of the same stream: ./rig soak --seed {} --first-round {}\n",
                   runs_, options_.seed, first_, first_ + rounds_ - (rounds_ == 0 ? 0 : 1), alarms_, alarms_ == 1 ? "" : "s", cell_.executed, cell_.rejoined, cell_.off_schedule,
                   cell_.incomplete, cell_.host_skipped, predicates_, stops_, seconds(), static_cast<double>(runs_) / seconds(), options_.jobs,
                   options_.jobs == 1 ? "" : "s", options_.seed, first_ + rounds_);
        if (broken_ != 0) {
            fmt::print("  {} visit{} broken off by an error of the rig, and counted as an alarm each where a tally is kept; see above\n", broken_, broken_ == 1 ? "" : "s");
        }
        for (const std::string& why : left_out_) {
            fmt::print("  left out: {}\n", why);
        }
        if (tally_.kept()) {
            fmt::print("{}: {} runs with seed {} in all, {} alarms\n", options_.tally, tally_.total().runs, options_.seed, tally_.total().alarms);
        }
        return broken_ != 0 ? exit_host : alarms_ == 0 ? 0 : 1;
    }

    const SoakOptions& options_;
    std::vector<CheckedSource> sources_;
    Clock::time_point start_ = Clock::now();
    std::uint64_t first_ = 0;  ///< round that this soak began with
    std::uint64_t in_visit_ = 0;  ///< runs
    std::mutex mutex_;  // guards all below
    std::uint64_t rounds_ = 0;
    std::uint64_t next_ = 0;  ///< visits begun
    std::uint64_t visited_ = 0;
    Progress progress_{"visits", false};
    std::uint64_t runs_ = 0;
    std::uint64_t stops_ = 0;
    std::uint64_t alarms_ = 0;
    std::uint64_t predicates_ = 0;
    std::uint64_t broken_ = 0;  ///< visits
    explore::Cell cell_;
    std::set<std::string> left_out_;
    SoakTally tally_;
    std::optional<Error> error_;
    bool told_ = false;
};

}  // namespace

int soak(const SoakOptions& options) {
    auto checked = check_sources(options.paths);
    if (!checked) {
        return report(checked.error());
    }
    if (!checked->problems.empty()) {
        fmt::print(stderr, "{}Nothing was run.\n", scenario::render(checked->problems));
        return exit_usage;
    }
    std::vector<CheckedSource> fitting;
    std::copy_if(std::make_move_iterator(checked->good.begin()), std::make_move_iterator(checked->good.end()), std::back_inserter(fitting),
                 [](const CheckedSource& s) { return must_be_clean(s.scenario); });
    if (fitting.empty()) {
        return report({ErrorKind::usage, "none of the scenarios is about a scheme that has to be clean: repair = \"proposed\" or scheme = \"fixed\""});
    }
    auto code = Soak(options, std::move(fitting)).go();
    return code ? *code : report(code.error());
}

}  // namespace stackrig::cli
