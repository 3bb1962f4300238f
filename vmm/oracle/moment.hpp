// One stop as plain data that outlives the run: what reports draw. Seen, not believed, unless said otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "vmm/engine/stop.hpp"
#include "vmm/oracle/history.hpp"
#include "vmm/oracle/tlb.hpp"
#include "vmm/oracle/words.hpp"
#include "vmm/oracle/view.hpp"

namespace stackrig::oracle {

/// What a CPU does, as a person would colour it.
enum class Context : std::uint8_t {
    boot,           ///< on the boot stack
    idle,           ///< its idle thread
    user,           ///< user mode
    entry,          ///< between user mode and the end of ENTER
    kernel,         ///< a system call or exception, exit work included
    exit,           ///< from EXIT on to user mode
    irq,            ///< an interrupt's handler, on the task's or the IRQ stack
    nmi,
    machine_check,
    debug,          ///< #DB on its IST stack
    double_fault,
};
inline constexpr std::size_t context_count = static_cast<std::size_t>(Context::double_fault) + 1;
[[nodiscard]] const char* name_of(Context context);
[[nodiscard]] Context context_of(const View& view, const History& history, const CpuView& cpu);

struct MomentPage {
    std::uint64_t pte = 0;  ///< rights of the upper levels applied
    std::string owner;      ///< "own", "cache of cpu0", "RESERVE of cpu0", "ALSO IN ..."; empty when not present
    friend bool operator==(const MomentPage&, const MomentPage&) = default;
};

struct MomentThread {
    std::string name;
    std::string kind;   ///< "idle", "kthread", "user"
    std::string state;  ///< belief: "running", "blocked for stack pages", ...
    std::string doing;  ///< "exit work (timer)"
    std::array<MomentPage, abi::stack_pages> pages;  ///< [0] is P0, the top page
    std::uint32_t slot = 0;     ///< of the stack area
    std::uint8_t guards = 0;    ///< guard pages that are present: a violation by itself
    std::uint64_t depth = 0;    ///< bytes between the top of its stack and its RSP, the saved one when it does not run
    bool on_own_stack = false;  ///< that RSP lies in this stack (or in its guard); else `depth` means nothing
    std::int32_t cpu = -1;      ///< that runs it; -1: none
    friend bool operator==(const MomentThread&, const MomentThread&) = default;
};

struct MomentCpu {
    engine::CpuState regs;
    Context context = Context::boot;
    std::string symbol;   ///< of RIP
    std::string stack;    ///< "B's stack, P0, 280 bytes deep"
    std::string thread;   ///< that runs, by RSP and CR3
    std::string doing;    ///< what that thread is about
    std::vector<std::uint32_t> cache;    ///< frame numbers; belief, like the two below
    std::vector<std::uint32_t> reserve;
    std::vector<std::uint32_t> hands;
    std::vector<std::string> stale;  ///< translations its TLB may still hold: "P2 of B -> 0x155, used before"
    friend bool operator==(const MomentCpu&, const MomentCpu&) = default;
};

struct Moment {
    std::uint64_t stop = 0;  ///< engine::Stop::index; 0: none was taken
    std::size_t step = 0;    ///< of the schedule, from 0
    std::uint32_t cpu = 0;   ///< that stopped
    std::string kind;        ///< "mark", "user", "choice", "event", "step", "place", "halt", "ipi"
    std::string cause;       ///< cause_text()
    std::int32_t target = -1;  ///< ipi: the CPU it is sent to
    std::vector<MomentCpu> cpus;
    std::vector<MomentThread> threads;  ///< that exist
    std::uint64_t free_pages = 0;
    std::vector<std::string> violated;  ///< ids, filled in by who judges
    friend bool operator==(const Moment&, const Moment&) = default;
};

/// The stop that `view` shows. `symbol` as in PictureStyle.
[[nodiscard]] Moment moment_of(const View& view, const History& history, const TlbModel& tlb, const std::function<std::string(Gva)>& symbol);

}  // namespace stackrig::oracle
