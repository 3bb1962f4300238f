// Watching a run.
#include "vmm/explore/watch.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "vmm/engine/tracker.hpp"
#include "vmm/oracle/picture.hpp"
#include "vmm/scenario/sentence.hpp"

namespace stackrig::explore {
namespace {

using scenario::Fact;

std::int64_t number(std::uint64_t value) { return static_cast<std::int64_t>(value); }

}  // namespace

std::uint32_t line_of(const scenario::Scenario& scenario, std::size_t step) {
    return step < scenario.step_places.size() ? scenario.step_places[step].at.line : 1;
}

Watch::Watch(const scenario::Scenario& scenario, const scenario::Names& names, Gpa kernel_state, Symbolise symbolise)
    : scenario_(scenario), names_(names), symbolise_(std::move(symbolise)),
      oracle_(scenario.plan, kernel_state, scenario.expect.violation, scenario.tlb), sometimes_(scenario.sometimes.size()),
      before_(scenario.plan.guest.cpus) {
    for (const auto* predicates : {&scenario.always, &scenario.sometimes, &scenario.finally, &scenario.expects}) {
        for (const scenario::CheckedPredicate& predicate : *predicates) {
            for (const Fact& fact : scenario::facts_of(predicate.predicate)) {
                if (fact.kind == Fact::Kind::seen) {
                    counted_.insert(fact.mark);
                }
            }
        }
    }
}

void Watch::restore(const State& state) {
    oracle_.restore(state.oracle);
    violations_ = state.violations;
    ended_by_.clear();
    failure_ = state.failure;
    expected_seen_ = state.expected_seen;
    booted_ = state.booted;
    before_ = state.before;
}

bool Watch::same_future(const State& state) const {
    return violations_.size() == state.violations.size() && failure_ == state.failure && expected_seen_ == state.expected_seen &&
           oracle_.same_future(state.oracle) &&
           std::all_of(counted_.begin(), counted_.end(), [&](abi::Mark mark) { return oracle_.history().same_count(state.oracle.history, mark); });
}

std::int64_t Watch::read(const Fact& fact) const {
    const oracle::Facts facts = oracle_.facts();
    const oracle::ThreadId thread(engine::guest_id(scenario_.plan.guest, fact.thread));
    switch (fact.kind) {
        case Fact::Kind::reserve: return number(facts.reserve(fact.cpu));
        case Fact::Kind::cache: return number(facts.cache(fact.cpu));
        case Fact::Kind::hands: return number(facts.hands(fact.cpu));
        case Fact::Kind::reserve_users: return number(facts.reserve_users(fact.cpu));
        case Fact::Kind::free: return number(facts.free());
        case Fact::Kind::leaked: return number(facts.leaked());
        case Fact::Kind::mapped: return number(facts.mapped(thread));
        case Fact::Kind::pend: return facts.pend(thread) ? 1 : 0;
        case Fact::Kind::loan: return number(facts.loan(thread));
        case Fact::Kind::asleep: return facts.asleep(thread) ? 1 : 0;
        case Fact::Kind::alive: return facts.alive(thread) ? 1 : 0;
        case Fact::Kind::user: return facts.user(thread) ? 1 : 0;
        case Fact::Kind::seen: {
            std::uint64_t total = 0;
            for (std::uint32_t cpu = 0; cpu < scenario_.plan.guest.cpus; ++cpu) {
                total += facts.seen(fact.mark, CpuId{cpu});
            }
            return number(total);
        }
    }
    return 0;
}

bool Watch::holds(const scenario::CheckedPredicate& predicate) const {
    return scenario::evaluate(predicate.predicate, [this](const Fact& fact) { return read(fact); }) != 0;
}

/// "reserve(cpu0) = 3, pend(A) = 0": what the predicate speaks of, now.
std::string Watch::values_of(const scenario::CheckedPredicate& predicate) const {
    std::string values;
    for (const Fact& fact : scenario::facts_of(predicate.predicate)) {
        values += fmt::format("{}{} = {}", values.empty() ? "" : ", ", scenario::render(fact, names_), read(fact));
    }
    return values;
}

/// Of the last stop, which may be over: only what the view itself holds.
std::string Watch::where() const {
    const oracle::View& view = oracle_.view();
    if (view.cpus.empty()) {
        return fmt::format("{}, before the kernel's data could be read", view.stop_cpu);
    }
    const oracle::CpuView& cpu = view.here();
    return fmt::format("{} {}{} {}", view.stop_cpu, cpu.running ? "thread " : "", cpu.running ? oracle::name_of(view, *cpu.running) : "",
                       symbolise_(cpu.regs.rip));
}

std::string Watch::picture(std::span<const oracle::ThreadId> focus, bool everything) const {
    return oracle::picture(oracle_.view(), oracle_.history(),
                           {.symbol = symbolise_, .focus = focus, .everything = everything, .reserve_pages = scenario_.plan.guest.reserve_pages});
}

const ViolationReport* Watch::report_of(const std::string& id) const {
    const auto found = std::find_if(violations_.begin(), violations_.end(), [&](const ViolationReport& v) { return v.id == id; });
    return found == violations_.end() ? nullptr : &*found;
}

const ViolationReport* Watch::ended_by() const { return report_of(ended_by_); }

/// Records it; false when the run has shown what it had to, or failed.
bool Watch::take(const oracle::Violation& violation) {
    const std::string id(violation.id);
    if (report_of(id) == nullptr) {
        const std::string step = violation.step < scenario_.plan.schedule.size() ? scenario_.plan.schedule[violation.step].text : "";
        const Before& before = before_[violation.cpu.value()];
        violations_.push_back({.id = id,
                               .object = violation.object,
                               .text = violation.text,
                               .where = where(),
                               .step = step,
                               .stop = violation.stop,
                               .picture = picture(violation.threads, false),
                               .line = line_of(scenario_, violation.step),
                               .moment = oracle::moment_of(oracle_.view(), oracle_.history(), oracle_.translations().model(), symbolise_),
                               .before = before.cpu,
                               .before_stop = before.stop});
        violations_.back().moment.violated = {id};
    }
    const auto& also = scenario_.expect.also;
    if (std::find(also.begin(), also.end(), id) != also.end()) {
        return true;
    }
    ended_by_ = id;
    if (id == scenario_.expect.violation) {
        expected_seen_ = true;
        return false;
    }
    failure_ = fmt::format("{} was violated: {}", id, violation.text);
    if (!scenario_.expect.pass()) {
        failure_ += fmt::format(" {} was expected; with \"{}\" in `also` the run goes on to it", scenario_.expect.violation, id);
    }
    return false;
}

/// For reports: the stop itself if the run is recorded, and the registers the next stop is compared with.
void Watch::remember(const engine::Stop& stop, std::span<const oracle::Violation> violations) {
    before_[stop.cpu.value()] = {stop.cpus[stop.cpu.value()], stop.index};
    if (recording_ == 0 || !booted_) {
        return;
    }
    if (moments_.size() == recording_) {
        moments_.pop_front();
        ++left_out_;
    }
    moments_.push_back(oracle::moment_of(oracle_.view(), oracle_.history(), oracle_.translations().model(), symbolise_));
    for (const oracle::Violation& violation : violations) {
        moments_.back().violated.emplace_back(violation.id);
    }
}

Timeline Watch::take_timeline() {
    return {left_out_, {std::make_move_iterator(moments_.begin()), std::make_move_iterator(moments_.end())}};
}

bool Watch::at_stop(const engine::Stop& stop) {
    bool go_on = true;
    const std::span<const oracle::Violation> violations = oracle_.observe(stop);
    for (const oracle::Violation& violation : violations) {
        go_on = take(violation) && go_on;
    }
    const auto* mark = std::get_if<engine::MarkStop>(&stop.cause);
    booted_ = booted_ || (mark != nullptr && mark->mark == abi::Mark::boot_done);
    remember(stop, violations);
    if (!booted_) {
        return go_on;
    }
    for (std::size_t i = 0; i < sometimes_.size(); ++i) {
        sometimes_[i] = sometimes_[i] || holds(scenario_.sometimes[i]);
    }
    if (!go_on) {
        return false;
    }
    for (const scenario::CheckedPredicate& always : scenario_.always) {
        if (!holds(always)) {
            failure_ = fmt::format("\"{}\" does not hold at stop {}, {}: {}", always.text, stop.index, where(), values_of(always));
            return false;
        }
    }
    return true;
}

bool Watch::at_expect(std::size_t predicate, const engine::Stop& stop) {
    const scenario::CheckedPredicate& expected = scenario_.expects[predicate];
    if (holds(expected)) {
        return true;
    }
    failure_ = fmt::format("\"expect {}\" does not hold after stop {}: {}", expected.text, stop.index, values_of(expected));
    return false;
}

void Watch::at_end(const engine::Stop& stop, engine::Ending ending) {
    if (!failure_.empty() || expected_seen_) {
        return;
    }
    for (const oracle::Violation& violation : oracle_.at_end(stop, ending)) {
        if (!take(violation)) {
            return;
        }
    }
}

bool Watch::has_fired(const std::string& id) const {
    const auto notes = oracle_.notes();
    return report_of(id) != nullptr || std::any_of(notes.begin(), notes.end(), [&](const oracle::Violation& v) { return v.id == id; });
}

std::optional<std::string> Watch::never_true() const {
    for (std::size_t i = 0; i < sometimes_.size(); ++i) {
        if (!sometimes_[i]) {
            return scenario_.sometimes[i].text;
        }
    }
    return std::nullopt;
}

std::optional<std::string> Watch::finally_broken() const {
    for (const scenario::CheckedPredicate& predicate : scenario_.finally) {
        if (!holds(predicate)) {
            return fmt::format("\"{}\" does not hold at the end: {}", predicate.text, values_of(predicate));
        }
    }
    return std::nullopt;
}

}  // namespace stackrig::explore
