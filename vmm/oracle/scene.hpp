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

    /// This stop's mark, nothing at other stops.
    [[nodiscard]] const engine::MarkStop* mark() const {
        return std::get_if<engine::MarkStop>(&view.stop->cause);
    }
    [[nodiscard]] bool at(abi::Mark which) const { return mark() != nullptr && mark()->mark == which; }
    [[nodiscard]] CpuId cpu() const { return view.stop->cpu; }
    [[nodiscard]] bool user_thread(ThreadId t) const {
        return view.alive(t) && view.thread(t).kind == abi::ThreadKind::user;
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
