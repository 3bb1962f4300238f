// One stop: read, follow, judge, remember.
#include "vmm/oracle/oracle.hpp"

#include "vmm/oracle/families.hpp"

namespace stackrig::oracle {

namespace {

std::vector<std::uint32_t> priorities_of(const engine::RunPlan& plan) {
    std::vector<std::uint32_t> out(plan.guest.cpus);  // the idle threads
    for (const engine::ThreadPlan& thread : plan.threads) {
        out.push_back(thread.priority);
    }
    return out;
}

}  // namespace

Oracle::Oracle(const engine::RunPlan& plan, Gpa kernel_state, std::string_view expected, Fill fill)
    : guest_(plan.guest),
      programs_(plan.threads),
      reader_(kernel_state),
      history_(plan.guest.scheme, plan.guest.policies, priorities_of(plan)),
      judge_(plan.guest.scheme, expected),
      translations_(fill) {}

Scene Oracle::scene() {
    return {*view_, history_, judge_, guest_.scheme, guest_.reserve_pages, guest_.policies, guest_, programs_};
}

void Oracle::restore(const State& state) {
    history_ = state.history;
    reader_.remember(state.view);
    judge_.remember(state.judge);
    translations_ = state.translations;
    contexts_ = state.contexts;
    booted_ = state.booted;
}

bool Oracle::same_future(const State& state) const {
    return booted_ == state.booted && reader_.remembered() == state.view && judge_.knows(state.judge) &&
           translations_ == state.translations && contexts_ == state.contexts &&
           history_.same_future(state.history);
}

std::span<const Violation> Oracle::observe(const engine::Stop& stop) {
    const View& view = reader_.read(stop);
    view_ = &view;
    judge_.begin_stop(stop.index, stop.step, stop.cpu);
    const Scene scene = this->scene();
    booted_ = booted_ || scene.at(abi::Mark::boot_done);
    if (!booted_) {
        failure::check(scene);
        return judge_.violations();
    }
    if (!view.readable) {
        judge_.report(Inv::ptr, {}, "kernel_state", "KernelState has lost its magic number or version.");
        return judge_.violations();
    }
    history_.observe(view);
    mapping::check(scene);
    ledger::check(scene);
    sources::check(scene);
    hooks::check(scene);
    windows::check(scene);
    waiting::check(scene);
    reserve::check(scene);
    translations_.observe(scene);
    classes::check(scene);
    liveness::check(scene);
    contexts_.observe(scene);
    leak::check(scene);
    belief::check(scene);
    failure::check(scene);
    depths_.observe(view, history_);
    history_.settle(view, guest_.reserve_pages);
    judge_.end_stop();
    return judge_.violations();
}

std::span<const Violation> Oracle::at_end(const engine::Stop& last, engine::Ending ending) {
    if (!booted_ || !view_->readable || ending == engine::Ending::other) {
        return {};
    }
    const View& view = reader_.read(last);
    view_ = &view;
    judge_.begin_stop(last.index, last.step, last.cpu);
    const Scene scene = this->scene();
    if (ending == engine::Ending::deadlocked) {
        deadlock::check_spinning(scene);
    } else {
        liveness::check_quiet(scene);
        deadlock::check_quiet(scene);
    }
    judge_.end_stop();
    return judge_.violations();
}

}  // namespace stackrig::oracle
