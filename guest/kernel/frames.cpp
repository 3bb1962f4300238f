// The frame allocator: one free list, a sleeping and a non-sleeping way in.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {
namespace {

u32 pop_free(FrameUse use) {
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

void clear_page(u32 pfn) {
    u64* words = direct_map<u64>(frame_pa(pfn));
    for (u32 i = 0; i < abi::page_bytes / 8; ++i) {
        words[i] = 0;
    }
}

}  // namespace

u32 alloc_page(Gfp gfp, FrameUse use) {
    Thread* t = current();
    for (;;) {
        const IrqSave irqs;
        if (choose(abi::Choice::alloc, static_cast<u64>(gfp), t->id) != 0) {
            const u32 pfn = pop_free(use);
            if (pfn != abi::no_pfn) {
                return pfn;
            }
        }
        if (gfp == Gfp::nowait) {
            return abi::no_pfn;
        }
        sleep_on(state()->frame_waiters, WaitKind::frame, 0);
    }
}

void free_page(u32 pfn) {
    const IrqSave irqs;
    abi::KernelState* ks = state();
    Frame& frame = ks->frames[pfn];
    write_once(frame.use, FrameUse::free);
    write_once(frame.next, ks->free_head);
    write_once(ks->free_head, pfn);
    write_once(ks->free_count, ks->free_count + 1);
    wake_one(ks->frame_waiters);
    stack_pages_freed();
}

u32 alloc_boot_page(FrameUse use) {
    const u32 pfn = pop_free(use);
    if (pfn == abi::no_pfn) {
        panic("out of memory while setting up: give the guest more RAM");
    }
    clear_page(pfn);
    return pfn;
}

void balloon_inflate(u32 keep) {
    abi::KernelState* ks = state();
    while (ks->free_count > keep) {
        pop_free(FrameUse::balloon);
        ++ks->balloon_count;
    }
}

}  // namespace guest
