// Exit: why a vCPU came back, as a closed variant, and its pure decoder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "vmm/base/types.hpp"

namespace stackrig::kvm {

/// OUT or REP OUTS, finished: the guest stands after the instruction, or between two iterations of it.
struct IoOut {
    std::uint16_t port = 0;
    std::uint8_t size = 0;            ///< bytes per item: 1, 2, 4
    std::uint32_t count = 0;          ///< items, at least 1; more only for string I/O
    std::uint32_t value = 0;          ///< the first item, zero-extended
    std::vector<std::uint32_t> more;  ///< the other count - 1 items
    bool operator==(const IoOut&) const = default;
};

/// IN or REP INS, waiting for Vcpu::complete_io_in().
struct IoIn {
    std::uint16_t port = 0;
    std::uint8_t size = 0;    ///< bytes per item: 1, 2, 4
    std::uint32_t count = 0;  ///< items wanted, at least 1
    bool operator==(const IoIn&) const = default;
};

/// A read outside every memory slot, waiting for Vcpu::complete_mmio_read().
struct MmioRead {
    Gpa gpa;
    std::uint8_t size = 0;  ///< bytes, 1..8
    bool operator==(const MmioRead&) const = default;
};

/// A write outside every slot or into a read-only one, finished.
struct MmioWrite {
    Gpa gpa;
    std::uint8_t size = 0;    ///< bytes, 1..8
    std::uint64_t value = 0;  ///< little-endian, zero-extended
    bool operator==(const MmioWrite&) const = default;
};

/// HLT executed; RIP is after it.
struct Hlt {
    bool operator==(const Hlt&) const = default;
};

/// A single step or a debug exception that was the VMM's.
struct Debug {
    std::uint32_t exception = 0;  ///< 1 #DB, 3 #BP
    Gva pc;                       ///< linear address
    std::uint64_t dr6 = 0;        ///< bit 14: single step
    std::uint64_t dr7 = 0;
    bool operator==(const Debug&) const = default;
};

/// The window of Vcpu::request_interrupt_window() is open.
struct IrqWindow {
    bool operator==(const IrqWindow&) const = default;
};

/// Triple fault.
struct Shutdown {
    bool operator==(const Shutdown&) const = default;
};

/// The CPU refused the guest state (SDM 3C 27.3, APM 2 15.5).
struct FailEntry {
    std::uint64_t reason = 0;  ///< hardware code
    std::uint32_t cpu = 0;     ///< host CPU
    bool operator==(const FailEntry&) const = default;
};

/// KVM gave up for a reason other than emulation.
struct InternalError {
    std::uint32_t suberror = 0;  ///< KVM_INTERNAL_ERROR_*
    std::vector<std::uint64_t> data;
    bool operator==(const InternalError&) const = default;
};

/// KVM met an instruction its emulator does not know.
struct EmulationFailure {
    std::uint8_t size = 0;  ///< how many of `bytes` the kernel gave, 0..15; 0 when it gave none
    std::array<std::uint8_t, 15> bytes{};
    bool operator==(const EmulationFailure&) const = default;
};

/// Shutdown, reset or crash asked for by the guest through the host's firmware interfaces.
struct SystemEvent {
    std::uint32_t type = 0;  ///< KVM_SYSTEM_EVENT_*
    std::vector<std::uint64_t> data;
    bool operator==(const SystemEvent&) const = default;
};

/// The budget of Vcpu::run() was used up; the guest stands at some boundary and may be run again.
struct Interrupted {
    bool operator==(const Interrupted&) const = default;
};

/// Any other exit, or one whose numbers contradict the interface.
struct Unknown {
    std::uint32_t reason = 0;  ///< kvm_run.exit_reason
    std::uint64_t detail = 0;  ///< the first 64 bits of its data (hardware_exit_reason for reason 0)
    bool operator==(const Unknown&) const = default;
};

using Exit = std::variant<IoOut, IoIn, MmioRead, MmioWrite, Hlt, Debug, IrqWindow, Shutdown, FailEntry,
                          InternalError, EmulationFailure, SystemEvent, Interrupted, Unknown>;

/// Decodes the shared vCPU page(s) as KVM_RUN left them: `run` starts at struct kvm_run and covers the PIO
/// data page. Pure; never reads outside `run`. Too short a span or data outside of it gives Unknown.
[[nodiscard]] Exit decode(std::span<const std::byte> run);

/// One line for people: "OUT port 0xe9, 1 byte, 0x41".
[[nodiscard]] std::string describe(const Exit& exit);

}  // namespace stackrig::kvm
