// The fixture of tests that sweep small workloads.
#pragma once

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <string>

#include "tests/kvm/explore/workload.hpp"
#include "vmm/explore/sweep.hpp"

namespace stackrig::explore {

/// Sweeps of small workloads.
class SweepTest : public WorkloadTest {
  protected:
    std::unique_ptr<Sweep> sweep_of(const scenario::Scenario& s, const SweepChecks& checks = {}) {
        return must(Sweep::prepare(*bench, s, *s.sweep, checks));
    }
    static Cell total(const SweepResult& result, const std::string& event) {
        Cell all;
        for (const auto& [function, cells] : result.coverage) {
            if (const auto found = cells.find(event); found != cells.end()) {
                all.add(found->second);
            }
        }
        return all;
    }
    static std::string all_findings(const SweepResult& result) {
        std::string out;
        for (const Finding& finding : result.findings) {
            out += fmt::format("{} {} x{} at {} by {}\n", finding.key(), finding.text, finding.count, finding.where, finding.decisions.front());
        }
        return out;
    }
};

/// The index of the first boundary for which `wanted` holds.
inline std::uint64_t boundary_where(Sweep& sweep, const std::function<bool(const Boundary&)>& wanted) {
    const auto& all = sweep.trunk().boundaries();
    return static_cast<std::uint64_t>(std::find_if(all.begin(), all.end(), wanted) - all.begin());
}

/// A system call and back.
inline const std::string round_trip = R"(
[threads.A]
program = ["syscall null", "spin"]
[run]
schedule = ["run A until user #2", "run"]
[explore]
sweep = { events = ["nmi", "mc", "tick"], at = ["enter_from_user_mode", "enter", "exit_to_user_mode", "exit", "do_syscall_64", "entry_SYSCALL_64"] }
)";

}  // namespace stackrig::explore
