// Guest virtual addresses as the layout defines them: from a pointer to RAM, from RSP to the stack it lies
// in.
#pragma once

#include <cstdint>
#include <optional>

#include "guest/abi/layout.hpp"
#include "vmm/base/types.hpp"
#include "vmm/oracle/ids.hpp"

namespace stackrig::oracle {

/// The physical address behind a pointer found in a guest structure: a direct-map or kernel-image address
/// whose `bytes` lie in RAM and which is aligned to `align` bytes; nothing for any other value.
[[nodiscard]] std::optional<Gpa> gpa_of(std::uint64_t pointer, std::uint64_t bytes, std::uint64_t align,
                                        std::uint64_t ram_bytes);

/// Where a stack pointer points.
struct StackPointer {
    enum class Where : std::uint8_t { user, thread_stack, guard, cpu_stack, kernel_image, elsewhere };
    Where where = Where::elsewhere;
    SlotId slot = {};         ///< thread_stack, guard
    std::uint8_t page = 0;    ///< thread_stack: 0 (P0, top) .. 3, the page of the last byte pushed
    std::uint64_t depth = 0;  ///< bytes below the top of that stack (thread_stack, guard, cpu_stack)
    abi::CpuStack stack = abi::CpuStack::entry;  ///< cpu_stack
    CpuId cpu = {};                              ///< cpu_stack
};

/// An RSP equal to a stack's top is an empty stack, depth 0; one on a page border still belongs to the page
/// above.
[[nodiscard]] StackPointer locate(Gva rsp);

/// The page of the stack area that `address` itself lies in (RSP aside): thread_stack or guard; nothing
/// outside.
[[nodiscard]] std::optional<StackPointer> locate_access(Gva address);

}  // namespace stackrig::oracle
