// One stop: read, follow, judge, remember.
#include "vmm/oracle/oracle.hpp"

#include "vmm/oracle/families.hpp"

namespace stackrig::oracle {

Oracle::Oracle(const engine::GuestPlan& guest, Gpa kernel_state, std::string_view expected)
    : scheme_(guest.scheme),
      reserve_pages_(guest.reserve_pages),
      policies_(guest.policies),
      reader_(kernel_state),
      history_(guest.scheme, guest.policies),
      judge_(guest.scheme, expected) {}

void Oracle::restore(const State& state) {
    history_ = state.history;
    reader_.remember(state.view);
    judge_.remember(state.judge);
    booted_ = state.booted;
}

bool Oracle::same_future(const State& state) const {
    return booted_ == state.booted && reader_.remembered() == state.view && judge_.knows(state.judge) &&
           history_.same_future(state.history);
}

std::span<const Violation> Oracle::observe(const engine::Stop& stop) {
    const View& view = reader_.read(stop);
    view_ = &view;
    judge_.begin_stop(stop.index, stop.step, stop.cpu);
    const Scene scene{view, history_, judge_, scheme_, reserve_pages_, policies_};
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
    belief::check(scene);
    failure::check(scene);
    depths_.observe(view, history_);
    history_.settle(view, reserve_pages_);
    judge_.end_stop();
    return judge_.violations();
}

}  // namespace stackrig::oracle
