// Following what threads and CPUs wait for, and where a hook has looked for pages.
#include <algorithm>

#include "vmm/oracle/history.hpp"

namespace stackrig::oracle {

using abi::Mark;

void History::leave_queue(ThreadId t) { std::erase(waiters_, t); }

bool History::may_overtake(ThreadId t, ThreadId other) const {
    const auto priority = [this](ThreadId of) { return of.value() < priorities_.size() ? priorities_[of.value()] : 0; };
    return policies_.wait == abi::Wait::priority && priority(t) > priority(other);
}

/// Who waits for pages, since when, and in vain how often.
void History::follow_wait(const engine::MarkStop& mark, ThreadId t) {
    ThreadHistory& h = threads_[t.value()];
    switch (mark.mark) {
        case Mark::wait_begin:
            h.visit.page_sleeps = 0;
            h.visit.overtaken = 0;
            leave_queue(t);
            waiters_.push_back(t);
            break;
        case Mark::sleep:
            h.visit.page_sleeps += mark.args[1] == static_cast<std::uint64_t>(abi::WaitKind::pages) ? 1 : 0;
            break;
        case Mark::wait_done:
            for (const ThreadId other : waiters_) {
                if (other == t) {
                    break;
                }
                threads_[other.value()].visit.overtaken += may_overtake(t, other) ? 0 : 1;
            }
            leave_queue(t);
            break;
        case Mark::thread_exit:
        case Mark::stack_free:
            leave_queue(t);
            break;
        default:
            break;
    }
}

void History::follow_spin(const View& view) {
    CpuHistory& cpu = cpus_[view.stop->cpu.value()];
    const auto* mark = std::get_if<engine::MarkStop>(&view.stop->cause);
    cpu.spinning = mark != nullptr && mark->mark == Mark::relax;
    if (cpu.spinning) {
        cpu.spin = static_cast<abi::Spin>(mark->args[1]);
        cpu.spin_object = mark->args[2];
    }
    if (const auto* choice = std::get_if<engine::ChoiceStop>(&view.stop->cause);
        choice != nullptr && choice->choice == abi::Choice::alloc) {
        alloc_denied_ = choice->answer == 0;
    }
}

void History::note_sources(const View& view) {
    const CpuView& here = view.here();
    if (!here.running || !here.readable || here.running->value() >= threads_.size()) {
        return;
    }
    ThreadHistory& h = threads_[here.running->value()];
    if (h.phase != Phase::enter && h.phase != Phase::wait) {
        return;
    }
    h.visit.cache_ran_out = h.visit.cache_ran_out || here.belief.cache.count == 0;
    if (const auto* choice = std::get_if<engine::ChoiceStop>(&view.stop->cause)) {
        const bool nowait = choice->choice == abi::Choice::alloc &&
                            choice->args[0] == static_cast<std::uint64_t>(abi::Gfp::nowait);
        if (nowait && (choice->answer == 0 || view.free_list.empty())) {
            h.visit.alloc_failed = true;
        }
    }
}

}  // namespace stackrig::oracle
