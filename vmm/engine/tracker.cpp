// Thread states from marks, answers to choice points, places.
#include "vmm/engine/tracker.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace stackrig::engine {
namespace {

/// Marks whose first argument is the thread they are about; the others are about the current thread.
bool names_thread(abi::Mark mark) {
    switch (mark) {
        case abi::Mark::boot_done:
        case abi::Mark::handler_begin:
        case abi::Mark::handler_end:
        case abi::Mark::panic:
        case abi::Mark::warn:
        case abi::Mark::idle:
        case abi::Mark::relax:
        case abi::Mark::flush:
        case abi::Mark::cpu_online:
        case abi::Mark::cpu_offline:
        case abi::Mark::cpu_up_failed:
        case abi::Mark::irq_done: return false;
        default: return true;
    }
}

}  // namespace

Tracker::Tracker(const RunPlan& plan)
    : plan_(&plan), states_(plan.guest.cpus + plan.threads.size(), State::runnable) {
    for (std::uint32_t cpu = 0; cpu < plan.guest.cpus; ++cpu) {
        current_.push_back(cpu);
        activity_.push_back({});
        down_.push_back(cpu != 0);
        homes_.push_back(CpuId{cpu});
    }
    for (const ThreadPlan& thread : plan.threads) {
        homes_.push_back(thread.cpu);
        if (thread.forked) {
            states_[homes_.size() - 1] = State::unborn;
        }
    }
}

bool Tracker::can_run(std::uint32_t thread) const {
    return thread < states_.size() && states_[thread] == State::runnable;
}

bool Tracker::is_asleep(std::uint32_t thread) const {
    return thread < states_.size() && states_[thread] == State::asleep;
}

bool Tracker::is_gone(std::uint32_t thread) const {
    return thread < states_.size() && states_[thread] == State::gone;
}

std::string Tracker::name(std::uint32_t thread) const {
    if (thread < plan_->guest.cpus) {
        return "idle";
    }
    const std::size_t index = thread - plan_->guest.cpus;
    return index < plan_->threads.size() ? plan_->threads[index].name : fmt::format("thread {}", thread);
}

void Tracker::observe_mark(CpuId cpu, const MarkStop& mark) {
    const auto thread = static_cast<std::uint32_t>(mark.args[0]);
    if (mark.mark == abi::Mark::switched) {  // also from a thread that no scenario names: a helper, one of a crowd
        current_[cpu.value()] = static_cast<std::uint32_t>(mark.args[1]);
        if (mark.args[1] < homes_.size()) {
            homes_[mark.args[1]] = cpu;
        }
    }
    if (!names_thread(mark.mark) || thread >= states_.size()) {
        return;
    }
    State& state = states_[thread];
    switch (mark.mark) {
        case abi::Mark::sleep: state = State::blocked; break;
        case abi::Mark::wake: state = State::runnable; break;
        case abi::Mark::thread_exit: state = State::dead; break;
        case abi::Mark::stack_free: state = State::gone; break;
        case abi::Mark::switched:
            if (state == State::blocked) {
                state = State::asleep;
            }
            break;
        case abi::Mark::migrate:
            homes_[thread] = CpuId{static_cast<std::uint32_t>(mark.args[2])};
            break;
        case abi::Mark::fork:
            state = mark.args[2] == 0 ? State::runnable : state;
            break;
        default: break;
    }
}

void Tracker::observe(CpuId cpu, const StopCause& cause) {
    if (const auto* mark = std::get_if<MarkStop>(&cause)) {
        observe_mark(cpu, *mark);
    }
    Activity& activity = activity_[cpu.value()];
    if (std::holds_alternative<BoundaryStop>(cause) || std::holds_alternative<PlaceStop>(cause) ||
        std::holds_alternative<ReturnStop>(cause)) {
        activity.quiet = false;
        return;  // looking closer is no disturbance
    }
    const auto* mark = std::get_if<MarkStop>(&cause);
    const auto* user = std::get_if<UserMarkStop>(&cause);
    const bool spin = user != nullptr && user->mark == abi::UserMark::spin;
    down_[cpu.value()] = mark != nullptr && mark->mark == abi::Mark::cpu_offline;
    activity = {.quiet = std::holds_alternative<HaltStop>(cause) || (spin && activity.spun),
                .spun = spin,
                .relaxing = mark != nullptr && mark->mark == abi::Mark::relax};
}

std::uint32_t Tracker::answer(abi::Choice choice, std::uint64_t a, std::uint64_t b) {
    switch (choice) {
        case abi::Choice::alloc:
            if (alloc_.kind == AllocPolicy::Kind::fail_all) {
                return 0;
            }
            if (alloc_.kind == AllocPolicy::Kind::fail_next && alloc_.count > 0) {
                --alloc_.count;
                return 0;
            }
            return 1;
        case abi::Choice::next:
            if (preferred_ && can_run(guest_id(plan_->guest, *preferred_)) && home(*preferred_) == CpuId{static_cast<std::uint32_t>(b)}) {
                return guest_id(plan_->guest, *preferred_);
            }
            return static_cast<std::uint32_t>(a);
        case abi::Choice::resched: return std::exchange(want_resched_, false) ? 1 : 0;
    }
    return 0;
}

bool Tracker::begin(const Place& place, std::vector<Gva> addresses) {
    place_ = place;
    addresses_ = std::move(addresses);
    seen_ = 0;
    if (!place.thread || place.occurrence != 1) {
        return false;
    }
    const std::uint32_t thread = guest_id(plan_->guest, *place.thread);
    return (place.kind == Place::Kind::sleeps && is_asleep(thread)) || (place.kind == Place::Kind::exits && is_gone(thread));
}

void Tracker::seek_nothing() {
    place_.reset();
    addresses_.clear();
    seen_ = 0;
}

bool Tracker::concerns(const Place& place, CpuId cpu, std::optional<std::uint32_t> subject) const {
    return !place.thread || subject.value_or(current(cpu)) == guest_id(plan_->guest, *place.thread);
}

bool Tracker::matches(const Place& place, CpuId cpu, const StopCause& cause, std::optional<Gva> breakpoint) const {
    if (place.cpu && *place.cpu != cpu) {
        return false;
    }
    if (breakpoint) {
        return std::find(addresses_.begin(), addresses_.end(), *breakpoint) != addresses_.end() && concerns(place, cpu, std::nullopt);
    }
    if (place.kind == Place::Kind::idle) {
        return std::holds_alternative<HaltStop>(cause);
    }
    if (place.kind == Place::Kind::user) {
        return std::holds_alternative<UserMarkStop>(cause) && concerns(place, cpu, std::nullopt);
    }
    const auto* mark = std::get_if<MarkStop>(&cause);
    if (mark == nullptr) {
        return false;
    }
    const auto subject = names_thread(mark->mark) ? std::optional(static_cast<std::uint32_t>(mark->args[0])) : std::nullopt;
    if (!concerns(place, cpu, subject)) {
        return false;
    }
    switch (place.kind) {
        case Place::Kind::mark: return mark->mark == place.mark;
        case Place::Kind::sleeps: return mark->mark == abi::Mark::switched && is_asleep(*subject);
        case Place::Kind::exits: return mark->mark == abi::Mark::stack_free;
        default: return false;
    }
}

bool Tracker::reached(CpuId cpu, const StopCause& cause, std::optional<Gva> breakpoint) {
    if (!place_ || !matches(*place_, cpu, cause, breakpoint)) {
        return false;
    }
    return ++seen_ >= place_->occurrence;
}

}  // namespace stackrig::engine
