// Where everything lies in the guest's physical and virtual address space. Shared by guest and VMM.
#pragma once

#include <cstdint>

namespace stackrig::abi {

inline constexpr std::uint32_t abi_version = 4;  ///< raised by every incompatible change in guest/abi

inline constexpr std::uint64_t page_bytes = 4096;

// --- Physical memory -------------------------------------------------------------------------------------
// [0, 64K) is left unused so that a null pointer in physical space is never valid data.
inline constexpr std::uint64_t boot_params_pa = 0x10000;  ///< BootParams, written by the VMM; EBX at entry points here
inline constexpr std::uint64_t kernel_load_pa = 0x100000;  ///< the ELF's first segment
inline constexpr std::uint64_t default_ram_bytes = 4u << 20;

// --- Kernel half, as Linux lays it out (Documentation/arch/x86/x86_64/mm.rst) ------------------------------
inline constexpr std::uint64_t direct_map_base = 0xffff888000000000;  ///< all RAM: va = base + pa, RW, NX
inline constexpr std::uint64_t kernel_map_base = 0xffffffff80000000;  ///< kernel image: va = base + pa

// The stack area. Slot i is 32 KiB: 16 KiB guard hole below, 16 KiB stack above, so a stack is 16 KiB
// aligned (THREAD_SIZE) and neither end touches another stack. Mapped by 4 KiB PTEs only.
inline constexpr std::uint64_t stack_area_base = 0xffffc90000000000;
inline constexpr std::uint64_t thread_size = 16384;      ///< THREAD_SIZE
inline constexpr std::uint64_t stack_slot_size = 32768;  ///< guard hole + stack
inline constexpr std::uint32_t max_slots = 16384;        ///< 512 MiB of stack area
inline constexpr unsigned stack_pages = 4;               ///< P0 (top) .. P3 (lowest)
inline constexpr unsigned extra_pages = 3;               ///< P1..P3: what the hooks map and unmap

/// Lowest address of the stack in slot `slot`.
constexpr std::uint64_t stack_base(std::uint32_t slot) {
    return stack_area_base + slot * stack_slot_size + (stack_slot_size - thread_size);
}
/// First address above the stack in slot `slot`: RSP of an empty stack.
constexpr std::uint64_t stack_top(std::uint32_t slot) { return stack_base(slot) + thread_size; }
/// Address of page `index` of a stack: 0 is P0, the top page; 3 is P3, the lowest.
constexpr std::uint64_t stack_page(std::uint32_t slot, unsigned index) {
    return stack_top(slot) - (index + 1) * page_bytes;
}

// The CPU entry area: entry trampoline, IST and IRQ stacks of each CPU, a guard page below each.
inline constexpr std::uint64_t cpu_area_base = 0xfffffe0000000000;
inline constexpr std::uint64_t cpu_area_stride = 0x20000;
enum class CpuStack : std::uint32_t { entry, nmi, df, db, mc, irq, count };
inline constexpr unsigned cpu_stack_pages[] = {1, 2, 1, 2, 2, 4};

/// First address above CPU stack `which` of CPU `cpu`.
constexpr std::uint64_t cpu_stack_top(std::uint32_t cpu, CpuStack which) {
    std::uint64_t top = cpu_area_base + cpu * cpu_area_stride;
    for (std::uint32_t i = 0; i <= static_cast<std::uint32_t>(which); ++i) {
        top += (1 + cpu_stack_pages[i]) * page_bytes;
    }
    return top;
}

// --- User half, the same in every address space -------------------------------------------------------------
inline constexpr std::uint64_t user_text_va = 0x400000;     ///< the shared user program, R-X
inline constexpr std::uint64_t user_data_va = 0x600000;     ///< UserPage of the thread, RW
inline constexpr std::uint64_t user_stack_va = 0x700000;    ///< one page, RW
inline constexpr std::uint64_t user_demand_va = 0x40000000;  ///< 2 MiB, demand-mapped by page faults (one page at a time)
inline constexpr std::uint64_t user_demand_bytes = 0x200000;

// --- Segment selectors: Linux's order, which SYSCALL/SYSRET dictate (SDM 5.8.8) -----------------------------
inline constexpr std::uint16_t kernel_cs = 0x10;
inline constexpr std::uint16_t kernel_ds = 0x18;
inline constexpr std::uint16_t user32_cs = 0x23;
inline constexpr std::uint16_t user_ds = 0x2b;
inline constexpr std::uint16_t user_cs = 0x33;
inline constexpr std::uint16_t tss_sel = 0x40;

}  // namespace stackrig::abi
