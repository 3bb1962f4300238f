// A stop: the one moment at which a run may be looked at, and who looks.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "guest/abi/entries.hpp"
#include "guest/abi/ports.hpp"
#include "vmm/base/phys_memory.hpp"
#include "vmm/base/types.hpp"

namespace stackrig::engine {

/// Registers of one CPU at a stop. `gpr` in the order rax rbx rcx rdx rsi rdi rbp rsp r8..r15.
struct CpuState {
    CpuId cpu;
    Gva rip;
    Gva rsp;
    std::uint64_t rflags = 0;
    std::uint16_t cs = 0;
    Gva cr2;
    Gpa cr3;
    std::uint64_t cr4 = 0;
    Gva gs_base;         ///< the one in use
    Gva kernel_gs_base;  ///< the one SWAPGS would bring
    bool nmi_masked = false;
    std::array<std::uint64_t, 16> gpr = {};

    [[nodiscard]] bool user_mode() const { return (cs & 3) == 3; }
    [[nodiscard]] bool irqs_on() const { return (rflags & 0x200) != 0; }
    friend bool operator==(const CpuState&, const CpuState&) = default;
};

struct MarkStop {
    abi::Mark mark;
    std::array<std::uint64_t, 3> args;
};
struct UserMarkStop {
    abi::UserMark mark;
    std::uint64_t op;  ///< index of the operation
};
struct ChoiceStop {
    abi::Choice choice;
    std::array<std::uint64_t, 2> args;
    std::uint32_t answer;
};
/// The CPU is at the first instruction of a handler, after an injected event; the frame has been compared with the boundary.
struct LandedStop {
    abi::Entry entry;
    bool from_user;      ///< the interrupted context was user mode
    bool exact;
    std::string detail;  ///< what differed, empty when exact
    bool irqs_were_on = true;  ///< RFLAGS.IF at the boundary it hit
};
/// One instruction further (only when every instruction is checked).
struct BoundaryStop {};
/// Kernel code goes on where an injected event has interrupted it: the first boundary there, with the same RSP.
struct ReturnStop {};
/// A place of the schedule was reached by breakpoint.
struct PlaceStop {};
struct HaltStop {};
/// The guest sent an interrupt to another CPU; vector 0 starts it.
struct IpiStop {
    CpuId target;
    Vector vector;
};

using StopCause = std::variant<MarkStop, UserMarkStop, ChoiceStop, LandedStop, BoundaryStop, PlaceStop, HaltStop, IpiStop, ReturnStop>;

/// Whether the guest was not asked to stop here: its data may be half-written.
[[nodiscard]] inline bool between_instructions(const StopCause& cause) {
    return std::holds_alternative<LandedStop>(cause) || std::holds_alternative<BoundaryStop>(cause) ||
           std::holds_alternative<PlaceStop>(cause) || std::holds_alternative<ReturnStop>(cause);
}

/// How a run that the observer did not end has ended.
enum class Ending {
    quiet,       ///< nothing more can happen without an event
    deadlocked,  ///< CPUs wait for each other, none of them ever to go on
    other,       ///< anywhere else
};

/// Translations that a CPU has dropped.
struct Invalidation {
    abi::FlushKind kind;
    Gva page;  ///< any address in it; FlushKind::page only
};

struct Stop {
    std::uint64_t index = 0;    ///< counts the stops of a run from 1
    std::size_t step = 0;       ///< schedule step being executed, index into RunPlan::schedule
    CpuId cpu;                  ///< the CPU that stopped
    StopCause cause;
    const std::vector<CpuState>& cpus;
    const PhysMemory& memory;
    /// Nothing is executed unseen: `invalidated` has every invalidation, and what the guest says of its own can be done without.
    bool every_instruction = false;
    std::optional<Invalidation> invalidated;  ///< by the instruction just executed
};

/// Looks at each stop. Never changes the run, other than by ending it.
class Observer {
  public:
    virtual ~Observer() = default;
    /// false ends the run here (a violation, for instance).
    [[nodiscard]] virtual bool at_stop(const Stop& stop) = 0;
    /// A schedule step `expect` was reached; false ends the run.
    [[nodiscard]] virtual bool at_expect(std::size_t predicate, const Stop& stop) = 0;
    /// The schedule is carried out, or cannot go on; `stop` is the last one.
    virtual void at_end(const Stop& stop, Ending ending) = 0;
};

}  // namespace stackrig::engine
