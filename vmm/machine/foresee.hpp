// Knowing where an event will have taken the CPU, so that the guest need not be stopped there: queue it now, prove it at the next exit.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/machine/deliver.hpp"
#include "vmm/x86/frames.hpp"

namespace stackrig::machine {

/// What the CPU does with an event (SDM 3A 6.12.1, 6.14): what differs, at the handler's first instruction, from how it stands now. SS, which
/// no kernel code reads, and what a machine check logs are left out.
struct Foresight {
    CpuId cpu;
    Gva handler;
    std::uint16_t cs = 0;
    Gva rsp;
    std::uint64_t rflags = 0;
    bool nmi_masked = false;
    Gpa frame_at;
    x86::InterruptFrame frame;  ///< to be pushed there; its RIP is the boundary
};

/// Nothing where only deliver() can tell: what is not refused may still be held back by a shadow, INT3 is in the code, CR2 or an error
/// code go along, and a stack page that was never written may fault, or gets its A and D bits. Error: guest, where the IDT has no handler.
[[nodiscard]] Result<std::optional<Foresight>> foresee(Machine& machine, CpuId cpu, const NativeEvent& event);

/// Queues the event, and shows memory as it will be. That CPU must be entered next, and no breakpoint must lie over the handler.
[[nodiscard]] Result<void> queue_foreseen(Machine& machine, const NativeEvent& event, const Foresight& foresight);
/// Right before the guest is entered: takes the frame out again, so that nobody but the CPU can have written it.
[[nodiscard]] Result<void> scrub(Machine& machine, const Foresight& foresight);
/// Whether the CPU has pushed that frame; at the first exit behind scrub().
[[nodiscard]] bool came_true(const Machine& machine, const Foresight& foresight);

}  // namespace stackrig::machine
