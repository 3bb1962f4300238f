// The oracle: at each stop it reads the guest, follows each thread, and judges all invariants.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "vmm/engine/plan.hpp"
#include "vmm/engine/stop.hpp"
#include "vmm/oracle/depth.hpp"
#include "vmm/oracle/facts.hpp"
#include "vmm/oracle/history.hpp"
#include "vmm/oracle/judge.hpp"
#include "vmm/oracle/view.hpp"

namespace stackrig::oracle {

class Oracle {
  public:
    /// `kernel_state`: physical address of the ELF symbol. `expected`: id of the violation the scenario is
    /// about, empty for none: invariants that only lead to it are then noted instead of reported.
    Oracle(const engine::GuestPlan& guest, Gpa kernel_state, std::string_view expected = {});

    /// Looks at a stop. Returns what is newly violated, valid until the next call. Before boot.done only the
    /// guest's own words (panic, warn) are judged.
    std::span<const Violation> observe(const engine::Stop& stop);

    /// Valid until the next observe(), after the end of the run too.
    [[nodiscard]] Facts facts() const { return {view(), history_}; }
    [[nodiscard]] const View& view() const { return *view_; }
    [[nodiscard]] const History& history() const { return history_; }

    /// Notes of the whole run: what was noticed without deciding it, steps towards the expected violation
    /// first of all.
    [[nodiscard]] std::span<const Violation> notes() const { return judge_.notes(); }
    [[nodiscard]] ExaminedCount examined(Inv inv) const { return judge_.examined(inv); }
    [[nodiscard]] std::vector<DepthSample> depths() const { return depths_.samples(); }

    /// The model state: what the oracle must remember of the stops so far to judge the next ones. Belongs to a snapshot of the
    /// guest. The counts of examined() and depths() are none of it: they go on over all that was ever observed.
    struct State {
        History history;
        ViewReader::Memory view;
        Judge::Memory judge;
        bool booted = false;

        /// Whether the same future would be judged alike (the notes and the counts of marks left out).
        [[nodiscard]] bool same_future(const State& other) const {
            return booted == other.booted && view == other.view && judge.known == other.judge.known &&
                   history.same_future(other.history);
        }
    };
    [[nodiscard]] State save() const { return {history_, reader_.remembered(), judge_.remembered(), booted_}; }
    /// facts() and view() stay those of the last stop until the next observe().
    void restore(const State& state);
    /// As save().same_future(state), without the copy.
    [[nodiscard]] bool same_future(const State& state) const;

  private:
    abi::Scheme scheme_;
    std::uint32_t reserve_pages_;
    abi::Policies policies_;
    ViewReader reader_;
    History history_;
    Judge judge_;
    DepthTracker depths_;
    View empty_;
    const View* view_ = &empty_;
    bool booted_ = false;
};

}  // namespace stackrig::oracle
