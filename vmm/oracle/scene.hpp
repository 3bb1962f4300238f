// What every family of checks is given: the view, what is remembered, and where to report.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "guest/abi/boot_params.hpp"
#include "vmm/oracle/history.hpp"
#include "vmm/oracle/judge.hpp"
#include "vmm/oracle/view.hpp"

namespace stackrig::oracle {

struct Scene {
    const View& view;
    const History& history;
    Judge& judge;
    abi::Scheme scheme;
    std::uint32_t reserve_pages;  ///< configured size of each CPU's reserve
    const abi::Policies& policies;

    /// This stop's mark, nothing at other stops.
    [[nodiscard]] const engine::MarkStop* mark() const {
        return std::get_if<engine::MarkStop>(&view.stop->cause);
    }
    [[nodiscard]] bool at(abi::Mark which) const { return mark() != nullptr && mark()->mark == which; }
    [[nodiscard]] CpuId cpu() const { return view.stop->cpu; }
    [[nodiscard]] bool user_thread(ThreadId t) const {
        return view.alive(t) && view.thread(t).kind == abi::ThreadKind::user;
    }
    /// By the class table in force, an entry like this one of `t` waits for pages it does not get.
    [[nodiscard]] bool may_wait(ThreadId t) const {
        const ThreadHistory& h = history.thread(t);
        return abi::may_wait(policies.classes, h.visit.entry, h.user_irqs_on);
    }
    /// Waiting is not tied to the entries of the table: exit work, first runs or sleepers wait too.
    [[nodiscard]] bool waits_elsewhere() const {
        return gives_back() || policies.new_thread == abi::NewThread::expand || policies.sleepers == abi::Sleepers::shed;
    }
    /// The exit loop returns pages before IRQs go on.
    [[nodiscard]] bool gives_back() const {
        return policies.repair == abi::Repair::give_back || policies.repair == abi::Repair::irq_stack ||
               policies.repair == abi::Repair::repay_before_irq_on;
    }
    /// What the reserve must hold while user mode runs.
    [[nodiscard]] std::uint32_t least_reserve() const {
        return policies.repair == abi::Repair::deep_reserve ? abi::extra_pages : reserve_pages;
    }
    [[nodiscard]] const ThreadHistory& thread(ThreadId t) const { return history.thread(t); }
    [[nodiscard]] std::string_view name(ThreadId t) const { return name_of(view, t); }
};

/// "{P0,P2}" for a set of mapped pages.
[[nodiscard]] std::string pages_text(std::uint8_t mapped);
/// "P2 of B's stack", "the cache of cpu0", ...
[[nodiscard]] std::string place_text(const View& view, Place place);
/// "timer", or "no entry".
[[nodiscard]] std::string_view entry_text(abi::Entry entry);
/// "A" or "A and B"; "nobody" for none.
[[nodiscard]] std::string names_text(const View& view, const std::vector<ThreadId>& threads);

}  // namespace stackrig::oracle
