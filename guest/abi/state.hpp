// The guest kernel's data structures that the VMM reads: threads, per-CPU areas, frames. Beliefs, not truth.
#pragma once

#include <cstddef>
#include <cstdint>

#include "guest/abi/boot_params.hpp"
#include "guest/abi/entries.hpp"
#include "guest/abi/layout.hpp"

namespace stackrig::abi {

/// A pointer that the guest dereferences and the VMM only sees as an address.
#ifdef STACKRIG_GUEST
template <class T>
using Ptr = T*;
#else
template <class T>
using Ptr = std::uint64_t;
#endif

/// Saved user or kernel registers, in the order of Linux's struct pt_regs.
struct PtRegs {
    std::uint64_t r15, r14, r13, r12, bp, bx;
    std::uint64_t r11, r10, r9, r8, ax, cx, dx, si, di;
    std::uint64_t orig_ax;  ///< system call number or error code
    std::uint64_t ip, cs, flags, sp, ss;
};
static_assert(sizeof(PtRegs) == 168);

enum class ThreadState : std::uint32_t {
    unused = 0,
    runnable,
    running,
    blocked,
    dead,
    embryo,  ///< being created: owns its stack slot, cannot run yet
};

/// Where the extra pages of a stack came from, or (Mark::exit_give) went to.
enum class StackSource : std::uint32_t {
    none = 0,
    birth,    ///< mapped at creation
    cache,    ///< per-CPU cache
    nowait,   ///< alloc_page(GFP_NOWAIT)
    wait,     ///< got after sleeping
    reserve,  ///< the per-CPU reserve
    mixed,    ///< some from cache or allocator, the rest from the reserve
    pool,     ///< the pool of all CPUs, or that of the dying
    buddy,    ///< the allocator's free list
};

enum class WaitKind : std::uint32_t { none = 0, mutex, event, pages, frame, work };

/// thread.work bits, Linux's TIF_*.
inline constexpr std::uint32_t work_need_resched = 1u << 0;
inline constexpr std::uint32_t work_signal = 1u << 1;

inline constexpr std::uint32_t no_pfn = 0;  ///< frame 0 is never handed out

inline constexpr std::uint32_t sigkill = 9;  ///< as in Linux

struct Thread {
    std::uint32_t id;  ///< index in KernelState::threads
    ThreadKind kind;
    ThreadState state;
    std::uint32_t cpu;
    std::uint32_t slot;  ///< stack slot in the stack area
    std::uint32_t work;
    Entry entry;               ///< the user entry being handled, none in user mode
    std::uint32_t pend;        ///< the hook owes this thread its extra pages
    StackSource source;        ///< of the extra pages mapped now
    std::uint32_t loan;        ///< how many of them belong to the reserve
    std::uint32_t loan_cpu;    ///< of this CPU
    std::uint32_t signal;      ///< pending signal number
    WaitKind wait_kind;
    std::uint32_t wait_object;
    std::uint64_t saved_rsp;  ///< while not running
    std::uint64_t cr3;        ///< physical address of its page-table root
    Ptr<Thread> next;         ///< link in the one queue the thread is on
    std::uint32_t user_page_pfn;
    std::uint32_t op_count;
    std::uint32_t hogged_count;
    std::uint32_t mm_frames;     ///< its address space's frames, linked by Frame::next
    std::uint32_t demand_index;  ///< which page of the demand area is mapped, plus one; 0: none
    std::uint32_t shed;          ///< its extra pages were taken back while it slept
    std::uint32_t granted;       ///< pages handed to it while it waits, not mapped yet
    std::uint32_t grant[extra_pages];
    std::uint32_t irqs_on_at_entry;  ///< IF of the interrupted user context
    std::uint32_t last_cpu;          ///< CPU it ran on last
    std::uint64_t flush_generation;  ///< other CPUs must have flushed up to here before its stack is shared
    std::uint64_t lowest_rsp;        ///< for KSTACK_ERASE: lowest stack use of this stay in the kernel
    std::uint32_t priority;          ///< among those that wait for pages
    std::uint32_t origin_cpu;        ///< CPU from whose cache the extra pages came
    std::uint32_t shares_mm;         ///< its address space belongs to another thread
    std::uint32_t hogged[32];
    char name[16];
};

/// A small stack of frames: a CPU's cache, reserve, or the hook's hands.
struct FrameStash {
    std::uint32_t count;
    std::uint32_t reserved;
    std::uint32_t pfn[stash_capacity];
};

struct Queue {
    Ptr<Thread> head;
    Ptr<Thread> tail;
};

/// 64-bit TSS (SDM 8.7) with an I/O bitmap that reaches the rig's ports.
struct [[gnu::packed]] Tss {
    std::uint32_t reserved0;
    std::uint64_t rsp[3];
    std::uint64_t reserved1;
    std::uint64_t ist[7];
    std::uint64_t reserved2;
    std::uint16_t reserved3;
    std::uint16_t io_map_base;
    std::uint8_t io_map[33];  ///< ports 0..255 and the closing byte of ones
};
static_assert(sizeof(Tss) == 104 + 33);

inline constexpr unsigned gdt_entries = 10;

/// Reached through GS in the kernel. The first fields are used by assembly (guest_asm/offsets.cpp).
struct alignas(64) PerCpu {
    Ptr<PerCpu> self;
    std::uint64_t user_rsp;     ///< SYSCALL's scratch
    std::uint64_t kernel_top;   ///< top of the current thread's stack (Linux: cpu_current_top_of_stack)
    std::uint64_t irq_top;      ///< top of the IRQ stack
    Ptr<Thread> current;
    Ptr<Thread> idle;
    std::uint32_t cpu;
    std::uint32_t irq_nesting;  ///< >0: on the IRQ stack
    std::uint32_t preempt_count;
    std::uint32_t hook_active;  ///< a hook of this CPU is between its first and last step
    std::uint32_t online;       ///< takes threads
    std::uint32_t going_down;
    std::uint32_t in_softirq;   ///< IRQs are on, but nothing can be rescheduled
    std::uint32_t in_user;      ///< behind exit_to_user_mode(): touches no stack but its own before it has entered again
    std::uint32_t reserved;
    std::uint32_t apf_reason;   ///< written by the hypervisor before it raises an asynchronous #PF
    std::uint64_t flush_seen;   ///< generation up to which this CPU has flushed
    std::uint64_t flush_asked;  ///< generation up to which it is flushing, or has flushed: not in a register, so that all of it can be seen
    Queue run_queue;
    Ptr<Thread> switched_from;  ///< set by the stack switch for finish_task_switch()
    FrameStash cache;
    FrameStash reserve;
    FrameStash hands;  ///< frames a hook of this CPU has taken from one place and not yet put into the next
    std::uint64_t gdt[gdt_entries];
    Tss tss;
};

/// What a frame is used for. `stack` frames must be seen in exactly one of: a stack PTE, a cache, a reserve, hands.
enum class FrameUse : std::uint32_t { kernel = 0, free, balloon, page_table, user, stack, hogged };

struct Frame {
    FrameUse use;
    std::uint32_t next;  ///< free list link, no_pfn ends it
};

/// The root of everything above; symbol `kernel_state`.
struct KernelState {
    std::uint32_t magic;
    std::uint32_t version;
    Scheme scheme;
    std::uint32_t cpus;
    std::uint32_t thread_count;  ///< valid entries in threads, idle threads included
    std::uint32_t slot_count;    ///< stack slots with page tables
    Ptr<Thread> threads;
    Ptr<PerCpu> percpu[max_cpus];
    Ptr<Frame> frames;
    std::uint32_t frame_count;
    std::uint32_t free_head;
    std::uint32_t free_count;
    std::uint32_t balloon_count;
    std::uint64_t flush_generation;  ///< of the last unmap that other CPUs were asked to flush
    FrameStash pool;      ///< shared by all CPUs: R-f, or set aside for the dying
    Queue page_waiters;   ///< threads waiting for stack pages
    Queue frame_waiters;  ///< threads waiting in GFP_KERNEL
    std::uint64_t kernel_cr3;
};

/// Changes whenever a structure above changes its size or layout: a guest of another build is refused by it.
constexpr std::uint32_t layout_hash() {
    constexpr std::size_t facts[] = {sizeof(Thread),           offsetof(Thread, saved_rsp), offsetof(Thread, name),
                                     sizeof(PerCpu),           offsetof(PerCpu, current),   offsetof(PerCpu, hands),
                                     sizeof(KernelState),      offsetof(KernelState, frames), sizeof(FrameStash),
                                     sizeof(BootParams),       sizeof(UserPage),            sizeof(Op),
                                     sizeof(Policies),         entry_count};
    std::uint32_t hash = 2166136261u;  // FNV-1a
    for (const std::size_t fact : facts) {
        hash = (hash ^ static_cast<std::uint32_t>(fact)) * 16777619u;
    }
    return hash & 0x7fffffff;  // the assembler's constants are signed
}

}  // namespace stackrig::abi
