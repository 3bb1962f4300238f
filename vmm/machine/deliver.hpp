// Delivering one event at the current boundary, natively, and proving from the pushed frame where it hit.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/machine/machine.hpp"

namespace stackrig::machine {

enum class Delivery {
    interrupt,      ///< KVM_INTERRUPT
    nmi,            ///< KVM_NMI
    machine_check,  ///< KVM_X86_SET_MCE, uncorrected, in bank 0
    exception,      ///< KVM_SET_VCPU_EVENTS: #DB, #UD, #GP, #PF
    int3,           ///< a real INT3 laid over the boundary's first byte: KVM_SET_VCPU_EVENTS would store a wrong RIP
};

struct NativeEvent {
    Delivery how = Delivery::interrupt;
    Vector vector{0};                           ///< ignored for nmi (2), machine_check (18) and int3 (3)
    std::optional<std::uint32_t> error_code;    ///< exceptions that push one
    std::optional<Gva> cr2;                     ///< #PF
};

/// What the CPU pushed against what it should have pushed.
struct Landing {
    Gva boundary;        ///< RIP at the time of delivery
    Gva handler;         ///< where the CPU is now: first instruction of the handler
    bool exact = false;  ///< RIP, CS, RFLAGS, RSP and SS of the frame are those of the boundary
    /// One instruction later than asked for: an NMI in the shadow of STI or MOV SS, as on AMD hardware.
    bool late = false;
    std::string detail;  ///< what differs; empty when exact
};

/// Why an INT3 cannot be laid over the first instruction of the handler of #BP.
inline constexpr std::string_view int3_in_its_handler =
    "it is the first instruction of #BP's own handler, which an INT3 there would send to itself for ever";

/// Why an event cannot be delivered to a CPU in this state, or nothing. `events.interrupt.shadow` as KVM reports it.
[[nodiscard]] std::optional<std::string> refusal(Delivery how, std::uint64_t rflags, const kvm::Events& events);
/// The same, of a CPU as it stands.
[[nodiscard]] Result<std::optional<std::string>> refusal(Machine& machine, CpuId cpu, Delivery how);

[[nodiscard]] Vector vector_of(const NativeEvent& event);
/// Hands the event to KVM, which delivers it at the next entry. An INT3 is not handed over: it is in the code.
[[nodiscard]] Result<void> queue(Machine& machine, CpuId cpu, const NativeEvent& event);

/// Delivers and runs up to the handler's first instruction. Errors: rig or host when the handler is never reached within
/// `budget` or something else happens first; the text says what. One event per boundary: an NMI queued together with an
/// exception would be held back until the handler's IRET. The next event can be delivered where this leaves the CPU.
[[nodiscard]] Result<Landing> deliver(Machine& machine, CpuId cpu, const NativeEvent& event, std::chrono::milliseconds budget);

}  // namespace stackrig::machine
