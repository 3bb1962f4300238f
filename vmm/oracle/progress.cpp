// A fixpoint: whoever can go on lets others go on; the rest is stuck.
#include "vmm/oracle/progress.hpp"

#include <algorithm>
#include <bit>

namespace stackrig::oracle {
namespace {

using abi::WaitKind;

bool blocked(const Scene& s, ThreadId t) { return s.view.thread(t).state == abi::ThreadState::blocked; }
bool is_idle(const Scene& s, ThreadId t) { return s.view.thread(t).kind == abi::ThreadKind::idle; }

std::uint32_t needed(WaitKind kind) { return kind == WaitKind::pages ? abi::extra_pages : 1; }
bool for_frames(WaitKind kind) { return kind == WaitKind::pages || kind == WaitKind::frame; }

std::uint64_t pages_about(const Scene& s, ThreadId waiter) {
    std::uint64_t sum =
        (s.history.alloc_denied() ? 0 : s.view.free_list.size()) + s.view.thread(waiter).granted;
    for (const CpuView& cpu : s.view.cpus) {
        sum += cpu.online && s.view.thread(waiter).wait_kind == WaitKind::pages ? cpu.belief.cache.count : 0;
    }
    return sum;
}

class Fixpoint {
  public:
    explicit Fixpoint(const Scene& s) : s_(s), programs_(s), goes_on_(s.view.threads.size()) {
        for (std::uint32_t id = 0; id < goes_on_.size(); ++id) {
            const ThreadId t{id};
            goes_on_[id] = s.view.alive(t) && !is_idle(s, t) && !blocked(s, t);
        }
        for (bool changed = true; changed;) {
            changed = false;
            for (std::uint32_t id = 0; id < goes_on_.size(); ++id) {
                if (s.view.alive(ThreadId(id)) && !is_idle(s, ThreadId(id)) && !goes_on_[id] &&
                    can_go_on(ThreadId(id))) {
                    goes_on_[id] = changed = true;
                }
            }
        }
    }

    [[nodiscard]] std::vector<Stuck> stuck() const {
        std::vector<Stuck> out;
        for (std::uint32_t id = 0; id < goes_on_.size(); ++id) {
            const ThreadId t{id};
            if (s_.view.alive(t) && !is_idle(s_, t) && !goes_on_[id]) {
                out.push_back({t, helpers(t)});
            }
        }
        return out;
    }

  private:
    /// Whether `t`, if it could go on, might bring what `waiter` needs.
    [[nodiscard]] bool helps(ThreadId t, ThreadId waiter) const {
        const abi::Thread& w = s_.view.thread(waiter);
        switch (w.wait_kind) {
            case WaitKind::event:
                return programs_.may_call(t, abi::Sys::wake, w.wait_object) || programs_.may_call(t, abi::Sys::wake_late, w.wait_object);
            case WaitKind::mutex:
                return programs_.holds_mutex(t, w.wait_object);
            case WaitKind::pages:
            case WaitKind::frame:
                return frames_held(s_, t) > 0;
            default:
                return false;
        }
    }
    [[nodiscard]] std::vector<ThreadId> helpers(ThreadId waiter) const {
        std::vector<ThreadId> out;
        for (std::uint32_t id = 0; id < goes_on_.size(); ++id) {
            const ThreadId t{id};
            if (t != waiter && s_.view.alive(t) && !is_idle(s_, t) && helps(t, waiter)) {
                out.push_back(t);
            }
        }
        return out;
    }
    [[nodiscard]] bool can_go_on(ThreadId t) const {
        const WaitKind kind = s_.view.thread(t).wait_kind;
        const std::vector<ThreadId> all = helpers(t);
        if (for_frames(kind)) {
            std::uint64_t pages = pages_about(s_, t);
            for (const ThreadId helper : all) {
                pages += goes_on_[helper.value()] ? frames_held(s_, helper) : 0;
            }
            return pages >= needed(kind);
        }
        return all.empty() ||
               std::any_of(all.begin(), all.end(), [this](ThreadId h) { return goes_on_[h.value()]; });
    }

    const Scene& s_;
    Programs programs_;
    std::vector<bool> goes_on_;
};

}  // namespace

const engine::ThreadPlan* Programs::plan_of(ThreadId t) const {
    const std::uint32_t first = s_.view.kernel.cpus;  // one idle thread per CPU comes first
    return t.value() >= first && t.value() - first < s_.programs.size() ? &s_.programs[t.value() - first]
                                                                        : nullptr;
}

/// Index of the operation going on. User threads keep it in their own page; a kthread's is counted by its
/// system calls.
std::size_t Programs::position(ThreadId t, const std::vector<abi::Op>& program) const {
    const abi::Thread& thread = s_.view.thread(t);
    if (thread.kind == abi::ThreadKind::user) {
        const auto page = s_.view.stop->memory.read_as<abi::UserPage>(to_gpa(Pfn(thread.user_page_pfn)));
        return page ? std::min<std::size_t>(page->pc, program.size()) : 0;
    }
    const std::uint64_t calls = s_.history.seen(abi::Mark::syscall, t);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < program.size(); ++i) {
        if (program[i].kind == abi::OpKind::jump) {
            return 0;  // a loop: how far it has come cannot be counted
        }
        seen += program[i].kind == abi::OpKind::call ? 1 : 0;
        if (calls > 0 && seen == calls) {
            return i;
        }
    }
    return 0;
}

template <class Wanted>
bool Programs::to_come(ThreadId t, Wanted wanted) const {
    const engine::ThreadPlan* plan = plan_of(t);
    if (plan == nullptr) {
        return false;
    }
    std::size_t from = position(t, plan->program);
    for (std::size_t i = from; i < plan->program.size(); ++i) {
        if (plan->program[i].kind == abi::OpKind::jump) {
            from = std::min<std::size_t>(from, plan->program[i].arg);
        }
    }
    return std::any_of(plan->program.begin() + static_cast<std::ptrdiff_t>(from), plan->program.end(),
                       wanted);
}

bool Programs::may_call(ThreadId t, abi::Sys number, std::uint32_t object) const {
    return to_come(t, [=](const abi::Op& op) {
        return op.kind == abi::OpKind::call && op.number == number && op.arg == object;
    });
}

bool Programs::may_release(ThreadId t) const {
    return to_come(t, [](const abi::Op& op) { return op.kind == abi::OpKind::release; });
}

bool Programs::holds_mutex(ThreadId t, std::uint32_t object) const {
    const engine::ThreadPlan* plan = plan_of(t);
    if (plan == nullptr) {
        return false;
    }
    const Phase phase = s_.thread(t).phase;
    const bool done = phase == Phase::loop || phase == Phase::exit;  // of the system call going on
    const std::size_t until = position(t, plan->program) + (done ? 1 : 0);
    bool held = false;
    for (std::size_t i = 0; i < until && i < plan->program.size(); ++i) {
        const abi::Op& op = plan->program[i];
        if (op.kind == abi::OpKind::call && op.arg == object) {
            held = op.number == abi::Sys::lock || (held && op.number != abi::Sys::unlock);
        }
    }
    return held;
}

std::uint32_t frames_held(const Scene& s, ThreadId t) {
    const abi::Thread& thread = s.view.thread(t);
    std::uint32_t frames = Programs(s).may_release(t) ? thread.hogged_count : 0;
    if (thread.kind == abi::ThreadKind::user && s.scheme == abi::Scheme::entry_exit) {
        frames +=
            static_cast<std::uint32_t>(std::popcount(static_cast<unsigned>(s.view.mapped(t) & ~only_p0)));
    }
    return frames;
}

std::vector<Stuck> stuck_threads(const Scene& scene) { return Fixpoint(scene).stuck(); }

namespace {

/// Depth first along what stuck threads need of each other.
class CycleSearch {
  public:
    explicit CycleSearch(const std::vector<Stuck>& stuck) : stuck_(stuck), done_(stuck.size()) {}

    std::vector<ThreadId> run() {
        for (std::size_t i = 0; i < stuck_.size(); ++i) {
            if (!done_[i] && visit(i)) {
                return cycle_;
            }
        }
        return {};
    }

  private:
    bool visit(std::size_t at) {
        path_.push_back(stuck_[at].thread);
        for (const ThreadId need : stuck_[at].needs) {
            const auto back = std::find(path_.begin(), path_.end(), need);
            if (back != path_.end()) {
                cycle_.assign(back, path_.end());
                return true;
            }
            const auto next = std::find_if(stuck_.begin(), stuck_.end(),
                                           [need](const Stuck& s) { return s.thread == need; });
            const auto index = static_cast<std::size_t>(next - stuck_.begin());
            if (next != stuck_.end() && !done_[index] && visit(index)) {
                return true;
            }
        }
        path_.pop_back();
        done_[at] = true;
        return false;
    }

    const std::vector<Stuck>& stuck_;
    std::vector<bool> done_;
    std::vector<ThreadId> path_;
    std::vector<ThreadId> cycle_;
};

}  // namespace

std::vector<ThreadId> cycle_of(const std::vector<Stuck>& stuck) { return CycleSearch(stuck).run(); }

}  // namespace stackrig::oracle
