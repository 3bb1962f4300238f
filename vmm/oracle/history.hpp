// What the oracle remembers between stops: each thread's way through the kernel.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "guest/abi/entries.hpp"
#include "guest/abi/ports.hpp"
#include "vmm/engine/stop.hpp"
#include "vmm/oracle/ids.hpp"
#include "vmm/oracle/provenance.hpp"
#include "vmm/oracle/view.hpp"

namespace stackrig::oracle {

/// Where a thread is on its way through the kernel. The W-points are those of the injection-point list.
enum class Phase : std::uint8_t {
    never_ran,  ///< created, its first instruction still to come
    first,      ///< in the kernel for the first time: no entry led here
    user,       ///< user mode
    entry,      ///< entered from user mode, ENTER not begun: W0..W3
    enter,      ///< inside ENTER: W4
    owed,       ///< ENTER done without pages: from W5 to the wait
    wait,       ///< waiting for pages: W6
    kernel,     ///< K: W5 with pages, W7
    loop,       ///< exit work: W8
    exit,       ///< inside EXIT: W10
    left,       ///< after EXIT: W11..W13
    nmi,        ///< NMI from user mode: on the task stack without hooks
    dead,       ///< after do_exit()
    gone,       ///< stack freed
};
[[nodiscard]] const char* name_of(Phase phase);

/// One stay in the kernel, from entry to return.
struct Visit {
    abi::Entry entry = abi::Entry::none;
    bool first_return = false;       ///< of a new thread: began without an entry
    std::uint32_t enters = 0;        ///< times ENTER has begun
    std::uint32_t exits = 0;         ///< times EXIT has begun
    bool irqs_were_on = false;       ///< the entry's IRQ-enable site or the exit loop has enabled IRQs
    bool owed = false;               ///< ENTER came without pages and no wait has brought them
    bool cache_ran_out = false;      ///< seen empty during the current hook
    bool alloc_failed = false;       ///< GFP_NOWAIT refused, or nothing free, during the current hook
    bool mapping = false;            ///< W6: the pages have come, PTEs are being written
    bool exit_work = false;          ///< the exit loop has begun
    bool repairing = false;          ///< exit loop, IRQs still off: extra pages may be on their way back
    std::uint32_t lent_at_exit = 0;  ///< pages of the executing CPU's reserve in use when EXIT began
    bool irqs_seen_on = false;       ///< IF was seen set before exit work
    std::uint32_t page_sleeps = 0;   ///< times it went to sleep in the current wait for pages
    std::uint32_t overtaken = 0;     ///< times a later comer's wait was over first
    std::optional<ThreadId> behind;  ///< the first of those who slept for pages when ENTER began
    std::uint32_t enter_steps = 0;   ///< instruction boundaries seen inside ENTER, its own only
    bool operator==(const Visit&) const = default;
};

struct ThreadHistory {
    Phase phase = Phase::never_ran;
    Visit visit;
    bool execed = false;        ///< was a kthread, and has not returned to user mode yet
    bool shedding = false;      ///< asleep; its extra pages are being taken back
    bool user_irqs_on = true;   ///< IF when last seen in user mode
    // Of the visit, but wanted for a stop or two after its EXIT:
    CpuId funded_on;            ///< CPU that took its extra pages
    CpuId hook_cpu;  ///< CPU on which the current hook began
    std::array<Pfn, abi::extra_pages> to_return = {};
    unsigned to_return_count = 0;  ///< frames in P1..P3 when EXIT began

    [[nodiscard]] bool in_hook() const { return phase == Phase::enter || phase == Phase::exit; }
    /// Its pages and loans may be half-way from one place to another.
    [[nodiscard]] bool in_transit() const {
        return in_hook() || phase == Phase::wait || visit.repairing || shedding;
    }
    bool operator==(const ThreadHistory&) const = default;
};

struct CpuHistory {
    bool switching = false;  ///< between the `switch` and `switched` marks
    bool leaving = false;    ///< such a handler has ended, and the CPU was not seen behind its IRET yet
    bool landed = false;     ///< an event that IF does not hold back has hit kernel code, and its handler has not begun
    std::uint32_t async =
        0;  ///< NMI, #MC, #DB handlers active that interrupted the kernel: its data may be half-written
    bool spinning = false;  ///< its last stop was `relax`
    abi::Spin spin = abi::Spin::lock;
    std::uint64_t spin_object = 0;
    bool operator==(const CpuHistory&) const = default;
};

/// What this stop's mark meant for the thread's way; facts for the checks of this stop only.
struct Turn {
    std::optional<ThreadId> thread;   ///< whom the mark is about
    std::optional<ThreadId> arrived;  ///< reached user mode since the last stop, `arrived_with` is its visit
    Visit arrived_with;
    bool double_enter = false;   ///< ENTER began although it had run in this visit
    bool double_exit = false;    ///< EXIT began although it had run in this visit
    bool skipped_enter = false;  ///< a hooked entry got past the hook's place without it
    bool quiet = false;          ///< the guest's data structures must be consistent here
};

class History {
  public:
    /// `priorities`: by thread; what the scenario says, not what the guest believes.
    History(abi::Scheme scheme, const abi::Policies& policies, std::vector<std::uint32_t> priorities)
        : scheme_(scheme), policies_(policies), priorities_(std::move(priorities)) {}

    /// Takes in the stop, before any check.
    void observe(const View& view);
    /// Remembers where frames are, after all checks of the stop. `reserve_pages`: the configured size.
    void settle(const View& view, std::uint32_t reserve_pages) { frames_.settle(view, reserve_pages); }

    [[nodiscard]] const ThreadHistory& thread(ThreadId t) const {
        return t.value() < threads_.size() ? threads_[t.value()] : nobody_;
    }
    [[nodiscard]] const CpuHistory& cpu(CpuId c) const { return cpus_[c.value()]; }
    [[nodiscard]] const Turn& turn() const { return turn_; }

    /// Where frames came from; see Provenance.
    [[nodiscard]] Place settled(Pfn pfn) const { return frames_.settled(pfn); }
    [[nodiscard]] Place origin(Pfn pfn) const { return frames_.origin(pfn); }
    [[nodiscard]] std::uint32_t lent(ThreadId t, CpuId cpu) const { return frames_.lent(t, cpu); }
    [[nodiscard]] std::vector<ThreadId> holders(CpuId cpu) const { return frames_.holders(cpu); }

    /// Frames labelled as the kernel's own when the guest had booted.
    [[nodiscard]] std::uint32_t kernel_frames() const { return kernel_frames_.value_or(0); }

    /// The allocator's last answer was no, by decision.
    [[nodiscard]] bool alloc_denied() const { return alloc_denied_; }

    /// How often a mark was raised about a thread (of its own, where the mark names none), and by a CPU.
    [[nodiscard]] std::uint64_t seen(abi::Mark mark, ThreadId t) const;
    [[nodiscard]] std::uint64_t seen(abi::Mark mark, CpuId cpu) const;

    /// Whether both would judge alike from here on. How often marks were raised is left out: no check asks for it.
    [[nodiscard]] bool same_future(const History& other) const {
        return threads_ == other.threads_ && cpus_ == other.cpus_ && frames_ == other.frames_ && waiters_ == other.waiters_ &&
               just_handled_ == other.just_handled_ && alloc_denied_ == other.alloc_denied_;
    }
    /// Whether each CPU has raised `mark` equally often.
    [[nodiscard]] bool same_count(const History& other, abi::Mark mark) const {
        const auto at = static_cast<std::size_t>(mark);
        return std::equal(by_cpu_.begin(), by_cpu_.end(), other.by_cpu_.begin(), other.by_cpu_.end(),
                          [at](const auto& mine, const auto& others) { return mine[at] == others[at]; });
    }

  private:
    void follow_modes(const View& view);
    void follow_mode(const View& view, const CpuView& cpu);
    void follow_landing(const View& view, const engine::LandedStop& landed);
    void follow_mark(const View& view, const engine::MarkStop& mark);
    void follow_handler(const View& view, const engine::MarkStop& mark);
    void follow_enter(const View& view, const engine::MarkStop& mark, ThreadId t);
    void follow_exit(const View& view, const engine::MarkStop& mark, ThreadId t);
    void follow_life(const View& view, const engine::MarkStop& mark, ThreadId t);
    void follow_wait(const engine::MarkStop& mark, ThreadId t);
    [[nodiscard]] bool may_overtake(ThreadId t, ThreadId other) const;
    void leave_queue(ThreadId t);
    void follow_spin(const View& view);
    void note_sources(const View& view);
    void start_visit(ThreadId t, abi::Entry entry);
    void arrive(ThreadId t);
    [[nodiscard]] bool entered_unseen(const ThreadHistory& h, abi::Entry entry) const;
    void pass_site(ThreadId t, abi::Entry entry);
    void begin_enter(const View& view, ThreadId t, abi::Entry entry);
    void begin_exit(const View& view, ThreadId t);
    void count(const engine::MarkStop& mark, CpuId cpu);
    [[nodiscard]] bool data_at_rest() const;

    abi::Scheme scheme_;
    abi::Policies policies_;
    std::vector<std::uint32_t> priorities_;
    std::vector<ThreadHistory> threads_;
    std::vector<CpuHistory> cpus_;
    /// By CPU: its last stop was between two instructions of the kernel, so what it works on may be half-written for as long as
    /// another CPU runs. same_future() leaves it out: the next stop of whoever runs says it anew, and for the others the run
    /// without events, whose future counts, is never taken to be less at rest than one that came back to it.
    std::vector<bool> midway_;
    Provenance frames_;
    std::optional<std::uint32_t> kernel_frames_;
    Turn turn_;
    std::optional<ThreadId> just_entered_;
    std::optional<ThreadId> just_handled_;  ///< an NMI from user mode whose handler had nothing to do
    std::vector<ThreadId> waiters_;  ///< for pages, in the order they began
    bool alloc_denied_ = false;
    ThreadHistory nobody_;
    static constexpr std::size_t mark_limit = 64;
    std::vector<std::array<std::uint64_t, mark_limit>> by_thread_;
    std::vector<std::array<std::uint64_t, mark_limit>> by_cpu_;
};

}  // namespace stackrig::oracle
