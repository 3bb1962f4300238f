// One stop as the oracle sees it: page tables, registers and memory (facts), and what the guest believes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "guest/abi/state.hpp"
#include "vmm/engine/stop.hpp"
#include "vmm/oracle/address.hpp"
#include "vmm/oracle/frame_book.hpp"
#include "vmm/oracle/stack_tables.hpp"

namespace stackrig::oracle {

/// A pointer, link or number in a guest structure that cannot be what it should be.
struct BadValue {
    enum class Kind : std::uint8_t { pointer, stash, free_list, pte_frame };
    Kind kind = Kind::pointer;
    std::string_view what;    ///< "PerCpu::current"
    std::uint32_t index = 0;  ///< CPU, thread, slot or frame the structure belongs to
    std::uint64_t value = 0;
};

/// The eight pages of a slot, from the page tables.
struct SlotView {
    std::array<Pte, abi::stack_pages> page;   ///< [0] is P0, the top page
    std::array<Pte, abi::stack_pages> guard;  ///< [0] is the page right below P3
    std::uint8_t mapped = 0;                  ///< bit i: Pi is present
    std::uint8_t guards = 0;                  ///< bit i: guard[i] is present
    bool has_table = false;                   ///< the PTE page exists
    std::optional<ThreadId> owner;            ///< the live or dead thread that believes it owns the slot
    std::optional<ThreadId> rival;            ///< a second one: a violation by itself
};

inline constexpr std::uint8_t only_p0 = 0b0001;
inline constexpr std::uint8_t all_pages = 0b1111;

struct CpuView {
    engine::CpuState regs;
    abi::PerCpu belief;
    bool readable = false;  ///< the per-CPU area could be read
    bool online = false;    ///< it takes threads
    StackPointer rsp;
    std::optional<ThreadId> running;  ///< by RSP and CR3, not by belief
    std::optional<ThreadId> current;  ///< PerCpu::current
    bool own_tables = false;          ///< CR3's stack area is not the kernel root's
};

/// Apart from `stop` it stands on its own: it may be looked at after the run has ended.
struct View {
    const engine::Stop* stop = nullptr;  ///< only while the stop lasts
    std::uint64_t stop_index = 0;
    CpuId stop_cpu;
    engine::StopCause cause = engine::HaltStop{};
    bool readable =
        false;  ///< KernelState has its magic and its tables could be read; else nothing below is valid
    abi::KernelState kernel = {};
    std::span<const abi::Thread> threads;  ///< beliefs; index = ThreadId
    std::span<const SlotView> slots;
    std::span<const CpuView> cpus;
    std::span<const BadValue> bad;
    const FrameBook* frames = nullptr;
    std::span<const Pfn> stack_frames;   ///< all frames labelled FrameUse::stack
    std::span<const std::uint8_t> uses;  ///< FrameUse by frame number
    std::span<const Pfn> free_list;      ///< as walked; its length is not free_count, but the truth
    std::uint64_t free_fingerprint = 0;  ///< of the frame table and the list's head: equal ones have equal lists and uses
    std::uint32_t free_labelled = 0;     ///< frames labelled FrameUse::free
    std::uint32_t kernel_labelled = 0;   ///< frames labelled FrameUse::kernel
    bool free_list_broken = false;       ///< cycle or bad link

    [[nodiscard]] const CpuView& cpu(CpuId id) const { return cpus[id.value()]; }
    [[nodiscard]] const CpuView& here() const { return cpus[stop_cpu.value()]; }
    [[nodiscard]] bool exists(ThreadId t) const {
        return t.value() < threads.size() && threads[t.value()].state != abi::ThreadState::unused;
    }
    /// By its own bookkeeping.
    [[nodiscard]] bool asleep_for(ThreadId t, abi::WaitKind kind) const {
        return alive(t) && thread(t).state == abi::ThreadState::blocked && thread(t).wait_kind == kind;
    }
    /// Exists, and is neither dead nor still being created.
    [[nodiscard]] bool alive(ThreadId t) const {
        return exists(t) && threads[t.value()].state != abi::ThreadState::dead &&
               threads[t.value()].state != abi::ThreadState::embryo;
    }
    [[nodiscard]] const abi::Thread& thread(ThreadId t) const { return threads[t.value()]; }
    /// nullptr when the thread's slot number is out of range.
    [[nodiscard]] const SlotView* slot_of(ThreadId t) const {
        const std::uint32_t slot = threads[t.value()].slot;
        return slot < slots.size() ? &slots[slot] : nullptr;
    }
    [[nodiscard]] std::uint8_t mapped(ThreadId t) const {
        const SlotView* slot = slot_of(t);
        return slot == nullptr ? 0 : slot->mapped;
    }
    [[nodiscard]] abi::FrameUse use(Pfn pfn) const {
        return pfn.value() < uses.size() ? static_cast<abi::FrameUse>(uses[pfn.value()])
                                         : abi::FrameUse::kernel;
    }
};

/// Name of a thread, never longer than 15 characters, never unprintable; "?" when there is no such thread.
[[nodiscard]] std::string_view name_of(const View& view, ThreadId t);

/// Builds views. Holds the buffers and what has to be remembered between stops (who ran last, the last free
/// list).
class ViewReader {
  public:
    /// `kernel_state`: physical address of the guest's KernelState.
    explicit ViewReader(Gpa kernel_state) : kernel_state_(kernel_state) {}

    /// The view is valid until the next call.
    const View& read(const engine::Stop& stop);

    /// Who ran last on each CPU: all that is remembered between stops. Everything else is read anew, or kept only while memory
    /// says the same.
    using Memory = std::vector<std::optional<ThreadId>>;
    [[nodiscard]] const Memory& remembered() const { return last_running_; }
    /// The next stop is of a guest that has been put back to where `memory` was.
    void remember(const Memory& memory) {
        last_running_ = memory;
        frames_pointer_ = 0;
    }

  private:
    void read_threads();
    void read_slots();
    void read_cpus();
    void read_cpu(std::uint32_t index);
    void read_frames();
    void reread_frames(std::uint32_t count);
    void walk_free_list();
    void assign_slots();
    void book_stash(const abi::FrameStash& stash, Place place, std::string_view what);
    void book_frames();
    void find_running(CpuView& cpu, std::uint32_t index);
    [[nodiscard]] std::optional<ThreadId> thread_at(std::uint64_t pointer) const;
    [[nodiscard]] std::optional<ThreadId> thread_by_root(Gpa cr3, std::optional<ThreadId> current) const;
    void complain(BadValue::Kind kind, std::string_view what, std::uint32_t index, std::uint64_t value);
    [[nodiscard]] std::uint64_t ram() const { return view_.stop->memory.size_bytes(); }

    Gpa kernel_state_;
    View view_;
    FrameBook book_;
    StackTables tables_;
    std::vector<abi::Thread> threads_;
    std::vector<SlotView> slots_;
    std::vector<CpuView> cpus_;
    std::vector<BadValue> bad_;
    std::vector<abi::Frame> frames_;
    std::vector<abi::Frame> frames_before_;
    std::vector<Pfn> stack_frames_;
    std::vector<Pfn> free_;
    std::vector<std::uint8_t> uses_;
    std::vector<std::optional<ThreadId>> last_running_;
    std::uint64_t frames_pointer_ = 0;
    std::uint32_t free_head_before_ = ~0u;
    std::uint64_t free_fingerprint_ = 0;
    std::uint32_t free_bad_link_ = 0;
    std::uint32_t free_labelled_ = 0;
    std::uint32_t kernel_labelled_ = 0;
    bool free_list_broken_ = false;
};

}  // namespace stackrig::oracle
