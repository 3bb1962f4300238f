// What the CPU pushes when it enters a handler in long mode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "vmm/base/types.hpp"
#include "vmm/x86/descriptors.hpp"

namespace stackrig::x86 {

/// Pushed on the handler's stack, RIP lowest (SDM 3A 6.14.2). CS and SS occupy 8 bytes each; the upper ones are undefined.
struct InterruptFrame {
    std::uint64_t rip;     // 0
    std::uint64_t cs;      // 8
    std::uint64_t rflags;  // 16
    std::uint64_t rsp;     // 24
    std::uint64_t ss;      // 32
};
static_assert(sizeof(InterruptFrame) == 40 && offsetof(InterruptFrame, rflags) == 16 && offsetof(InterruptFrame, ss) == 32);

/// Where the frame lies when the handler's first instruction is next: an error code lies below it.
[[nodiscard]] constexpr Gva frame_at(Gva rsp, Vector vector) { return rsp + (pushes_error_code(vector) ? 8 : 0); }

/// What differs, as "RIP 0x10 instead of 0x20, SS ..."; empty when equal. RFLAGS.RF is left out: only hardware sets it in the
/// frames of faults (SDM 3B 17.3.1.1), TCG's SVM does not.
[[nodiscard]] std::string differences(const InterruptFrame& seen, const InterruptFrame& meant);

}  // namespace stackrig::x86
