// Physical frames (GFP_NOWAIT and sleeping allocation) and page tables.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

// Page-table entry bits (SDM 4.5).
inline constexpr u64 pte_present = 1ull << 0;
inline constexpr u64 pte_write = 1ull << 1;
inline constexpr u64 pte_user = 1ull << 2;
inline constexpr u64 pte_accessed = 1ull << 5;
inline constexpr u64 pte_dirty = 1ull << 6;
inline constexpr u64 pte_large = 1ull << 7;
inline constexpr u64 pte_global = 1ull << 8;
inline constexpr u64 pte_nx = 1ull << 63;
/// Set in every entry from the beginning, as Linux does for the kernel's (_KERNPG_TABLE, __PAGE_KERNEL): the CPU need never write
/// to a table.
inline constexpr u64 pte_preset = pte_present | pte_accessed | pte_dirty;
inline constexpr u64 pte_kernel_data = pte_preset | pte_write | pte_nx;
inline constexpr u64 pte_frame_mask = 0x000ffffffffff000;

template <class T>
inline T* direct_map(u64 pa) {
    return reinterpret_cast<T*>(abi::direct_map_base + pa);
}
inline u64 frame_pa(u32 pfn) { return static_cast<u64>(pfn) * abi::page_bytes; }

/// Frame table, kernel page tables with the stack area for `slots` stacks, per-CPU stacks; switches CR3.
void mm_init(u32 slots);

/// A frame for `use`, or no_pfn. GFP_KERNEL sleeps until there is one; GFP_NOWAIT never does.
u32 alloc_page(Gfp gfp, FrameUse use);
void free_page(u32 pfn);
/// A zeroed frame during boot and thread creation; panics when memory is too small for the scenario.
u32 alloc_boot_page(FrameUse use);
/// A zeroed frame for a thread that is being created; no_pfn when pages are short after boot.
u32 alloc_thread_page(FrameUse use);
void clear_page(u32 pfn);
/// Takes all but `keep` free frames out of circulation; the end of boot.
void balloon_inflate(u32 keep);

/// The leaf PTE of page `index` (0: top) of the stack in `slot`.
u64* stack_pte(u32 slot, u32 index);

/// Address spaces: kernel half shared, user half with program, UserPage, stack, and the demand area.
/// false when pages are short; free_mm() then returns what it got.
bool create_mm(Thread* t);
void free_mm(Thread* t);
/// The same when nobody else is in `dead`'s address space; else its frames become another one's to free.
void leave_mm(Thread* dead);
/// Maps the zero page at `va` of the demand area, and unmaps what was mapped there before; false: not a demand address.
bool map_demand_page(Thread* t, u64 va);
/// The leaf PTE for any address in `cr3`, 0 if a level is missing.
u64 lookup_pte(u64 cr3, u64 va);

}  // namespace guest
