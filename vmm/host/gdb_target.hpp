// A run stopped at a place, for a debugger: the GDB Remote Serial Protocol without its framing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "vmm/engine/session.hpp"
#include "vmm/explore/single.hpp"
#include "vmm/explore/watch.hpp"

namespace stackrig::host {

/// CPUs are gdb's threads, from 1 on. Continuing goes on with the schedule, instruction by instruction: choice points are
/// answered and events injected as the scenario says; a violation no longer ends the run. Breakpoints are compared, not
/// written: they hold in kernel and user code alike and change nothing. What gdb writes into registers or memory does.
class GdbTarget {
  public:
    /// Runs up to `place`; an error (usage) when the run ends before. `bench` must outlive it.
    static Result<std::unique_ptr<GdbTarget>> start(const explore::Bench& bench, scenario::Scenario scenario, const std::string& place);
    GdbTarget(const GdbTarget&) = delete;
    GdbTarget& operator=(const GdbTarget&) = delete;
    ~GdbTarget();

    /// The answer to a packet. Nothing: the guest runs, ask again with "" until there is an answer, or with "\x03" to stop it.
    /// Errors are the host's or the rig's; what gdb asks wrongly is answered with E01.
    [[nodiscard]] Result<std::optional<std::string>> handle(const std::string& packet);
    /// What the oracle has found since the last call, for gdb's console and for the terminal; empty: nothing. The guest stands there.
    [[nodiscard]] std::string take_news();
    /// What is drawn at the place.
    [[nodiscard]] std::string picture() const;

  private:
    class Observer;
    GdbTarget(const explore::Bench& bench, scenario::Scenario scenario);
    Result<void> run_to(const std::string& place);
    Result<std::optional<std::string>> resume(std::uint64_t steps);
    Result<std::string> registers(CpuId cpu);
    Result<std::string> read_memory(const std::string& arguments);
    Result<std::string> write_register(const std::string& arguments);
    Result<std::string> write_memory(const std::string& arguments);
    Result<std::string> query(const std::string& packet);
    std::string point(const std::string& packet);
    Result<std::optional<std::string>> stopped();
    [[nodiscard]] std::string stop_reply(const std::string& why = "") const;
    Result<void> refresh_watched();

    const explore::Bench& bench_;
    scenario::Scenario scenario_;
    explore::GuestSymbols symbols_;
    scenario::Names names_;
    std::unique_ptr<explore::Watch> watch_;
    std::unique_ptr<Observer> observer_;
    std::unique_ptr<engine::Session> session_;
    CpuId selected_;
    bool running_ = false;
    std::size_t told_ = 0;  ///< violations that are no news
    std::set<std::uint64_t> breakpoints_;
    struct Watched {
        std::uint64_t length = 0;
        std::vector<std::byte> bytes;
    };
    std::map<std::uint64_t, Watched> watched_;  // by address
};

}  // namespace stackrig::host
