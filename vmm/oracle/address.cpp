// Translation of guest pointers and classification of stack pointers, by the constants of the layout alone.
#include "vmm/oracle/address.hpp"

namespace stackrig::oracle {
namespace {

constexpr std::uint64_t user_half_end = 0x0000800000000000;
constexpr std::uint32_t cpu_stack_count = static_cast<std::uint32_t>(abi::CpuStack::count);

/// The slot and page that the byte at `address` lies in.
std::optional<StackPointer> in_stack_area(std::uint64_t address) {
    if (address < abi::stack_area_base) {
        return std::nullopt;
    }
    const std::uint64_t slot = (address - abi::stack_area_base) / abi::stack_slot_size;
    if (slot >= abi::max_slots) {
        return std::nullopt;
    }
    StackPointer at;
    at.slot = SlotId(static_cast<std::uint32_t>(slot));
    const std::uint64_t below_top = abi::stack_top(at.slot.value()) - 1 - address;
    at.where = below_top < abi::thread_size ? StackPointer::Where::thread_stack : StackPointer::Where::guard;
    at.page = static_cast<std::uint8_t>(below_top / abi::page_bytes);
    at.depth = below_top + 1;
    return at;
}

std::optional<StackPointer> in_cpu_area(std::uint64_t address) {
    if (address < abi::cpu_area_base) {
        return std::nullopt;
    }
    const std::uint64_t cpu = (address - abi::cpu_area_base) / abi::cpu_area_stride;
    if (cpu >= 4) {
        return std::nullopt;
    }
    for (std::uint32_t i = 0; i < cpu_stack_count; ++i) {
        const std::uint64_t top =
            abi::cpu_stack_top(static_cast<std::uint32_t>(cpu), static_cast<abi::CpuStack>(i));
        const std::uint64_t base = top - abi::cpu_stack_pages[i] * abi::page_bytes;
        if (address >= base && address < top) {
            StackPointer at;
            at.where = StackPointer::Where::cpu_stack;
            at.stack = static_cast<abi::CpuStack>(i);
            at.cpu = CpuId(static_cast<std::uint32_t>(cpu));
            at.depth = top - address;
            return at;
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<Gpa> gpa_of(std::uint64_t pointer, std::uint64_t bytes, std::uint64_t align,
                          std::uint64_t ram_bytes) {
    const std::uint64_t base = pointer >= abi::kernel_map_base ? abi::kernel_map_base : abi::direct_map_base;
    if (pointer < base || pointer % align != 0) {
        return std::nullopt;
    }
    const std::uint64_t offset = pointer - base;
    if (offset >= ram_bytes || bytes > ram_bytes - offset) {
        return std::nullopt;
    }
    return Gpa(offset);
}

StackPointer locate(Gva rsp) {
    if (rsp.value() < user_half_end) {
        return {.where = StackPointer::Where::user};
    }
    // The lowest byte in use is the one RSP points to; of an empty stack none is, and RSP is its top.
    if (auto empty = in_stack_area(rsp.value() - 1); empty && empty->depth == 1) {
        empty->depth = 0;
        return *empty;
    }
    if (const auto at = in_stack_area(rsp.value())) {
        return *at;
    }
    if (const auto at = in_cpu_area(rsp.value())) {
        return *at;
    }
    if (auto empty = in_cpu_area(rsp.value() - 1)) {
        empty->depth = 0;
        return *empty;
    }
    if (rsp.value() >= abi::kernel_map_base) {
        return {.where = StackPointer::Where::kernel_image};
    }
    return {};
}

std::optional<StackPointer> locate_access(Gva address) { return in_stack_area(address.value()); }

}  // namespace stackrig::oracle
