// Page tables: the kernel's, built once at boot, and one address space per user thread.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/state.hpp"

extern "C" {
// Linker script: section borders. Only their addresses mean anything.
extern char text_start[], text_end[], rodata_start[], rodata_end[], data_start[], image_end[];
extern char user_text_load[], user_text_start[], user_text_end[];
}

namespace guest {
namespace {

constexpr u64 table_flags = pte_preset | pte_write;
constexpr u64 large_page = 2u << 20;

u64 kernel_root;
constexpr u32 most_slots = 16384;
u64* stack_tables[most_slots / 64];  // one PTE page maps 64 slots of 32 KiB
u32 zero_pfn;

u32 index_at(u64 va, u32 level) { return static_cast<u32>(va >> (12 + 9 * (level - 1)) & 511); }

/// A zeroed frame; when it is for a thread's address space, on that thread's list, and no_pfn when pages are short.
u32 alloc_for(Thread* t, FrameUse use) {
    if (t == nullptr) {
        return alloc_boot_page(use);
    }
    const u32 pfn = alloc_thread_page(use);
    if (pfn != abi::no_pfn) {
        state()->frames[pfn].next = t->mm_frames;
        t->mm_frames = pfn;
    }
    return pfn;
}

/// The entry for `va` at `level` (1: PTE, 2: PDE); missing tables above it are allocated for `t` (nullptr: the kernel). nullptr
/// when pages are short.
u64* walk_alloc(u64 root, u64 va, u32 level, u64 flags, Thread* t = nullptr) {
    u64* table = direct_map<u64>(root);
    for (u32 at = 4; at > level; --at) {
        u64& entry = table[index_at(va, at)];
        if ((entry & pte_present) == 0) {
            const u32 pfn = alloc_for(t, FrameUse::page_table);
            if (pfn == abi::no_pfn) {
                return nullptr;
            }
            entry = frame_pa(pfn) | flags;
        }
        table = direct_map<u64>(entry & pte_frame_mask);
    }
    return &table[index_at(va, level)];
}

void map_kernel_page(u64 va, u64 pa, u64 flags) { *walk_alloc(kernel_root, va, 1, table_flags) = pa | flags; }

void map_image(const char* start, const char* end, u64 flags) {
    for (u64 va = reinterpret_cast<u64>(start); va < reinterpret_cast<u64>(end); va += abi::page_bytes) {
        map_kernel_page(va, va - abi::kernel_map_base, flags);
    }
}

void map_direct(u64 ram) {
    for (u64 pa = 0; pa < ram; pa += large_page) {
        *walk_alloc(kernel_root, abi::direct_map_base + pa, 2, table_flags) = pa | pte_kernel_data | pte_large;
    }
}

void map_stack_area(u32 slots) {
    for (u32 slot = 0; slot < slots; slot += 64) {
        stack_tables[slot / 64] = walk_alloc(kernel_root, abi::stack_area_base + slot * abi::stack_slot_size, 1, table_flags);
    }
}

void map_cpu_stacks(u32 cpu) {
    for (u32 which = 0; which < static_cast<u32>(abi::CpuStack::count); ++which) {
        const u64 top = abi::cpu_stack_top(cpu, static_cast<abi::CpuStack>(which));
        for (u32 page = 1; page <= abi::cpu_stack_pages[which]; ++page) {
            map_kernel_page(top - page * abi::page_bytes, frame_pa(alloc_boot_page(FrameUse::kernel)), pte_kernel_data);
        }
    }
}

/// All frames behind the image and the frame table are free; the lowest comes first.
void init_frames(u64 ram) {
    abi::KernelState* ks = state();
    const u64 image_pa = reinterpret_cast<u64>(image_end) - abi::kernel_map_base;
    ks->frames = direct_map<Frame>(image_pa);
    ks->frame_count = static_cast<u32>(ram / abi::page_bytes);
    const u64 first = (image_pa + ks->frame_count * sizeof(Frame) + abi::page_bytes - 1) / abi::page_bytes;
    for (u32 pfn = 0; pfn < ks->frame_count; ++pfn) {
        ks->frames[pfn] = {FrameUse::kernel, abi::no_pfn};
    }
    for (u32 pfn = ks->frame_count; pfn-- > first;) {
        ks->frames[pfn] = {FrameUse::free, ks->free_head};
        ks->free_head = pfn;
        ++ks->free_count;
    }
}

constexpr u64 user_table = table_flags | pte_user;

bool map_user(Thread* t, u64 va, u64 entry) {
    u64* pte = walk_alloc(t->cr3, va, 1, user_table, t);
    if (pte != nullptr) {
        *pte = entry;
    }
    return pte != nullptr;
}

/// A page of its own at `va`; no_pfn when pages are short.
u32 map_user_page(Thread* t, u64 va) {
    const u32 pfn = alloc_for(t, FrameUse::user);
    return pfn != abi::no_pfn && map_user(t, va, frame_pa(pfn) | pte_kernel_data | pte_user) ? pfn : abi::no_pfn;
}

}  // namespace

void mm_init(u32 slots) {
    const u64 ram = boot_params().ram_bytes;
    init_frames(ram);
    kernel_root = frame_pa(alloc_boot_page(FrameUse::page_table));
    // Every user root copies the kernel half's top level once, so all of it must exist by then.
    map_direct(ram);
    map_image(text_start, text_end, pte_preset);
    map_image(rodata_start, rodata_end, pte_preset | pte_nx);
    map_image(data_start, image_end, pte_kernel_data);
    map_stack_area(slots);
    for (u32 cpu = 0; cpu < state()->cpus; ++cpu) {
        map_cpu_stacks(cpu);
    }
    zero_pfn = alloc_boot_page(FrameUse::user);
    state()->slot_count = slots;
    state()->kernel_cr3 = kernel_root;
    write_cr3(kernel_root);
}

u64* stack_pte(u32 slot, u32 index) {
    const u64 va = abi::stack_page(slot, index);
    return &stack_tables[slot / 64][index_at(va, 1)];
}

bool create_mm(Thread* t) {
    const u32 root = alloc_for(t, FrameUse::page_table);
    if (root == abi::no_pfn) {
        return false;
    }
    t->cr3 = frame_pa(root);
    const u64* kernel = direct_map<u64>(kernel_root);
    for (u32 i = 256; i < 512; ++i) {
        direct_map<u64>(t->cr3)[i] = kernel[i];
    }
    const u64 text_bytes = static_cast<u64>(user_text_end - user_text_start);
    for (u64 offset = 0; offset < text_bytes; offset += abi::page_bytes) {
        if (!map_user(t, abi::user_text_va + offset, (reinterpret_cast<u64>(user_text_load) + offset) | pte_preset | pte_user)) {
            return false;
        }
    }
    t->user_page_pfn = map_user_page(t, abi::user_data_va);
    // The demand area gets its PTE page now, so that a fault allocates nothing.
    return t->user_page_pfn != abi::no_pfn && map_user_page(t, abi::user_stack_va) != abi::no_pfn &&
           map_user(t, abi::user_demand_va, 0);
}

void free_mm(Thread* t) {
    while (t->mm_frames != abi::no_pfn) {
        const u32 pfn = t->mm_frames;
        t->mm_frames = state()->frames[pfn].next;
        free_page(pfn);
    }
}

namespace {

/// Only a crowd shares address spaces; its members lie side by side, and mostly die in their order.
Thread* another_in_mm(const Thread* t) {
    const u32 count = boot_params().crowd > 0 ? state()->thread_count : 0;
    for (u32 i = 1; i < count; ++i) {
        Thread* other = &state()->threads[(t->id + i) % count];
        if (other->state != ThreadState::unused && other->cr3 == t->cr3) {
            return other;
        }
    }
    return nullptr;
}

}  // namespace

void leave_mm(Thread* dead) {
    Thread* heir = another_in_mm(dead);
    if (heir == nullptr) {
        free_mm(dead);
        return;
    }
    while (dead->mm_frames != abi::no_pfn) {
        const u32 pfn = dead->mm_frames;
        dead->mm_frames = state()->frames[pfn].next;
        state()->frames[pfn].next = heir->mm_frames;
        heir->mm_frames = pfn;
    }
}

bool map_demand_page(Thread* t, u64 va) {
    if (va < abi::user_demand_va || va >= abi::user_demand_va + abi::user_demand_bytes) {
        return false;
    }
    u64* table = walk_alloc(t->cr3, abi::user_demand_va, 1, table_flags | pte_user, t);
    if (t->demand_index != 0) {
        table[t->demand_index - 1] = 0;
        invlpg(abi::user_demand_va + (t->demand_index - 1) * abi::page_bytes);
    }
    table[index_at(va, 1)] = frame_pa(zero_pfn) | pte_preset | pte_user | pte_nx;
    t->demand_index = index_at(va, 1) + 1;
    return true;
}

u64 lookup_pte(u64 cr3, u64 va) {
    const u64* table = direct_map<u64>(cr3 & pte_frame_mask);
    for (u32 level = 4;; --level) {
        const u64 entry = table[index_at(va, level)];
        if (level == 1 || (entry & pte_present) == 0 || (entry & pte_large) != 0) {
            return (entry & pte_present) != 0 ? entry : 0;
        }
        table = direct_map<u64>(entry & pte_frame_mask);
    }
}

}  // namespace guest
