// The frame allocator: one free list, a sleeping and a non-sleeping way in.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/depth.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {
namespace {

SpinLock frames_lock;  // Linux: zone->lock
bool booted;

[[gnu::noinline]] u32 pop_free(FrameUse use) {
    abi::KernelState* ks = state();
    const u32 pfn = ks->free_head;
    if (pfn == abi::no_pfn) {
        return abi::no_pfn;
    }
    Frame& frame = ks->frames[pfn];
    write_once(ks->free_head, frame.next);
    write_once(ks->free_count, ks->free_count - 1);
    write_once(frame.use, use);
    return pfn;
}

u32 try_alloc(Gfp gfp, FrameUse use) {
    const Locked lock(frames_lock);
    return choose(abi::Choice::alloc, static_cast<u64>(gfp), current()->id) != 0 ? pop_free(use) : abi::no_pfn;
}

}  // namespace

void clear_page(u32 pfn) {
    u64* words = direct_map<u64>(frame_pa(pfn));
    u64 count = abi::page_bytes / 8;
    asm volatile("rep stosq" : "+D"(words), "+c"(count) : "a"(u64{0}) : "memory");
}

u32 alloc_page(Gfp gfp, FrameUse use) {
    if (gfp == Gfp::nowait) {
        return try_alloc(gfp, use);
    }
    for (;;) {
        const IrqSave irqs;
        {
            const Locked lock(sched_lock);
            const u32 pfn = try_alloc(gfp, use);
            if (pfn != abi::no_pfn) {
                return pfn;
            }
            block_current(&state()->frame_waiters, WaitKind::frame, 0);
        }
        use_stack(boot_params().reclaim_depth);  // __alloc_pages_slowpath(): reclaim before it gives up
        sleep();
    }
}

void free_page(u32 pfn) {
    const IrqSave irqs;
    {
        const Locked lock(frames_lock);
        abi::KernelState* ks = state();
        Frame& frame = ks->frames[pfn];
        write_once(frame.use, FrameUse::free);
        write_once(frame.next, ks->free_head);
        write_once(ks->free_head, pfn);
        write_once(ks->free_count, ks->free_count + 1);
    }
    wake_one(state()->frame_waiters);
    scheme().page_freed();
}

u32 alloc_boot_page(FrameUse use) {
    const u32 pfn = pop_free(use);
    if (pfn == abi::no_pfn) {
        panic("out of memory while setting up: give the guest more RAM");
    }
    clear_page(pfn);
    return pfn;
}

u32 alloc_thread_page(FrameUse use) {
    if (!booted) {
        return alloc_boot_page(use);
    }
    const u32 pfn = alloc_page(Gfp::nowait, use);
    if (pfn != abi::no_pfn) {
        clear_page(pfn);
    }
    return pfn;
}

void balloon_inflate(u32 keep) {
    abi::KernelState* ks = state();
    while (ks->free_count > keep) {
        pop_free(FrameUse::balloon);
        ++ks->balloon_count;
    }
    booted = true;
}

}  // namespace guest
