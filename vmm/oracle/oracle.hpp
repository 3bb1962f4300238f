// The oracle: at each stop it reads the guest, follows each thread, and judges all invariants.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "vmm/engine/plan.hpp"
#include "vmm/engine/stop.hpp"
#include "vmm/oracle/contexts.hpp"
#include "vmm/oracle/depth.hpp"
#include "vmm/oracle/facts.hpp"
#include "vmm/oracle/history.hpp"
#include "vmm/oracle/judge.hpp"
#include "vmm/oracle/translations.hpp"
#include "vmm/oracle/view.hpp"

namespace stackrig::oracle {

class Oracle {
  public:
    /// `kernel_state`: physical address of the ELF symbol. `expected`: id of the violation the scenario is
    /// about, empty for none: invariants that only lead to it are then noted instead of reported.
    Oracle(const engine::RunPlan& plan, Gpa kernel_state, std::string_view expected = {}, Fill fill = Fill::arch);

    /// Looks at a stop. Returns what is newly violated, valid until the next call. Before boot.done only the
    /// guest's own words (panic, warn) are judged.
    std::span<const Violation> observe(const engine::Stop& stop);

    /// Looks at the end of a run, at the stop that was observed last: what no stop can show, because it is about what does not
    /// happen any more. Returns what is newly violated, valid until the next call.
    std::span<const Violation> at_end(const engine::Stop& last, engine::Ending ending);

    /// Valid until the next observe(), after the end of the run too.
    [[nodiscard]] Facts facts() const { return {view(), history_}; }
    [[nodiscard]] const View& view() const { return *view_; }
    [[nodiscard]] const History& history() const { return history_; }
    [[nodiscard]] const Translations& translations() const { return translations_; }

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
        Translations translations;
        Contexts contexts;
        bool booted = false;

        /// Whether the same future would be judged alike (the notes and the counts of marks left out).
        [[nodiscard]] bool same_future(const State& other) const {
            return booted == other.booted && view == other.view && judge.known == other.judge.known &&
                   translations == other.translations && contexts == other.contexts && history.same_future(other.history);
        }
    };
    [[nodiscard]] State save() const { return {history_, reader_.remembered(), judge_.remembered(), translations_, contexts_, booted_}; }
    /// facts() and view() stay those of the last stop until the next observe().
    void restore(const State& state);
    /// As save().same_future(state), without the copy.
    [[nodiscard]] bool same_future(const State& state) const;

  private:
    [[nodiscard]] Scene scene();

    engine::GuestPlan guest_;
    std::vector<engine::ThreadPlan> programs_;
    ViewReader reader_;
    History history_;
    Judge judge_;
    Translations translations_;
    Contexts contexts_;
    DepthTracker depths_;
    View empty_;
    const View* view_ = &empty_;
    bool booted_ = false;
};

}  // namespace stackrig::oracle
