// What one run is: guest configuration, threads, and the ordered steps. The checked form of a scenario.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "guest/abi/boot_params.hpp"
#include "guest/abi/ports.hpp"
#include "vmm/base/types.hpp"

namespace stackrig::engine {

/// A thread of the scenario. Its guest thread id is known only after boot; plans refer to it by index.
struct ThreadPlan {
    std::string name;  ///< 1..15 characters
    abi::ThreadKind kind = abi::ThreadKind::user;
    CpuId cpu;
    std::vector<abi::Op> program;
    std::uint32_t priority = 0;  ///< among those that wait for pages; higher is more important
    bool forked = false;  ///< not created at boot but by another thread's fork
};

struct GuestPlan {
    abi::Scheme scheme = abi::Scheme::entry_exit;
    std::uint32_t cpus = 1;
    std::uint32_t cache_pages = 3;
    std::uint32_t reserve_pages = 3;
    std::optional<std::uint32_t> free_pages;                ///< nothing: all of RAM
    std::array<std::uint32_t, abi::entry_count> depth = {};  ///< bytes each handler uses
    std::uint32_t softirq_depth = 0;                         ///< bytes of the softirq a device interrupt raises; 0: none
    std::uint32_t reclaim_depth = 0;                         ///< bytes alloc_page(GFP_KERNEL) uses when it has to reclaim
    std::uint32_t crowd = 0;                                 ///< further user threads, in the first one's address space
    std::uint32_t bail_outs = 0;                             ///< bit per abi::Entry: returns before its IRQ-enable site
    std::uint32_t offline = 0;                               ///< bit per CPU: not up at the end of boot
    abi::Policies policies = {.cache_cap = abi::stash_capacity};
    std::uint64_t ram_bytes = abi::default_ram_bytes;
};

/// Index into RunPlan::threads.
using ThreadIndex = std::size_t;

/// Where a run can be stopped. `occurrence` counts from 1 within the step that names the place.
struct Place {
    enum class Kind {
        user,     ///< the thread is in user mode, at the boundary after its next user mark
        sleeps,   ///< the thread has blocked and the CPU runs something else (or idles)
        exits,    ///< the thread has died and its stack is gone
        mark,     ///< the named mark, raised by the thread (any thread when none is given)
        symbol,   ///< the first byte of symbol + offset is the next instruction, in kernel mode
        handler,  ///< the first instruction of the handler of `entry`
        idle,     ///< the CPU has nothing to run and halts
        step,     ///< after schedule step `occurrence` (inspect only)
        end,      ///< the end of the run (inspect only)
    };
    Kind kind = Kind::end;
    std::optional<ThreadIndex> thread;
    std::optional<CpuId> cpu;  ///< only what happens on it counts
    abi::Mark mark = abi::Mark::boot_done;
    abi::Entry entry = abi::Entry::none;
    std::string symbol;
    Gva address;  ///< of symbol + offset, resolved against the guest ELF
    std::uint32_t occurrence = 1;
    std::string text;  ///< as the user wrote it
};

enum class EventKind { irq, nmi, machine_check, debug, int3, page_fault, async_page_fault, exception, call };

struct Event {
    EventKind kind = EventKind::irq;
    Vector vector{0};                 ///< irq, exception
    bool need_resched = false;        ///< irq(timer): the tick's choice point answers yes
    Gva address;                      ///< page_fault: CR2; async_page_fault: the token, an event queue's number
    std::uint32_t error_code = 0;     ///< page_fault, exception
    abi::Op call = {};                ///< call: number, via, arg, depth
    std::string text;                 ///< as the user wrote it
};

struct RunUntil {
    std::optional<ThreadIndex> thread;  ///< whom the scheduler prefers meanwhile; its CPU runs
    std::optional<CpuId> cpu;           ///< the CPU that runs, where no thread is named
    Place place;
};
/// Run until nothing more can happen without an event: all CPUs idle, or spinning in user mode.
struct RunToQuiet {};
struct Inject {
    Event event;
    std::variant<CpuId, ThreadIndex> target;
};
/// Answers to the guest's allocation choice point from here on.
struct AllocPolicy {
    enum class Kind { allow, fail_next, fail_all };
    Kind kind = Kind::allow;
    std::uint32_t count = 0;  ///< fail_next
    bool operator==(const AllocPolicy&) const = default;
};
/// `expect PREDICATE`: the observer evaluates predicate `index` here and now.
struct Expect {
    std::size_t index = 0;
};

struct Step {
    std::variant<RunUntil, RunToQuiet, Inject, AllocPolicy, Expect> what;
    std::string text;  ///< as the user wrote it, for reports
};

/// What a run does besides its schedule, each at a place that survives changes elsewhere. The explorers make them.
/// An event at a boundary. `at` is of kind `symbol`; its occurrence counts, from the end of boot on, how often its thread (any
/// thread when none is named) was about to execute the instruction there.
struct InjectAt {
    Place at;
    Event event;
};
/// The nth allocation fails; counted per thread (over all threads when none is named) from the end of boot on.
struct FailAllocation {
    std::optional<ThreadIndex> thread;
    std::uint32_t nth = 1;
    bool and_all_later = false;  ///< persistent: every one from there on
};
struct Decision {
    std::variant<InjectAt, FailAllocation> what;
    std::string text;  ///< as the user wrote it, or as the explorer words it
};

/// Whether a sweep goes on with a second event or failing allocation, at every boundary behind each first one.
enum class Pairs {
    none,
    all,   ///< behind every first one
    fast,  ///< behind one first one for each situation; see explore::Boundary::situation
};

/// What a sweep puts at every boundary of its window, one at a time.
struct SweepPlan {
    std::vector<Event> events;           ///< Event::text is the word for it: "nmi", "tick"
    bool allocations = false;            ///< and each single failing allocation, transient and persistent
    std::vector<std::string> functions;  ///< the window: boundaries in these functions only; empty: everywhere
    bool user_mode = true;               ///< boundaries of the rig's user code belong to the window
    Pairs pairs = Pairs::none;           ///< the window is that of the first; the second may be anywhere behind it
};

struct RunPlan {
    GuestPlan guest;
    std::vector<ThreadPlan> threads;
    std::vector<Step> schedule;
    std::vector<Decision> decisions;
    std::uint64_t max_stops = 100'000;  ///< budget: more is INCOMPLETE, never a pass
    bool check_every_instruction = false;
};

}  // namespace stackrig::engine
