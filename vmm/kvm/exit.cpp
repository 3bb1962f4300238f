// Decoding of struct kvm_run, and the text of an exit.
#include "vmm/kvm/exit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "vmm/kvm/uapi.hpp"

namespace stackrig::kvm {
namespace {

using Bytes = std::span<const std::byte>;

// The caller has checked that the whole struct kvm_run is there, so every field of it is.
template <class T>
T load(Bytes run, std::size_t offset) {
    T value;
    std::memcpy(&value, run.data() + offset, sizeof(value));
    return value;
}

#define LOAD(run, field) load<decltype(::kvm_run::field)>((run), offsetof(::kvm_run, field))

Unknown unknown(Bytes run) { return Unknown{LOAD(run, exit_reason), LOAD(run, hw.hardware_exit_reason)}; }

std::uint32_t item_at(Bytes items, std::size_t index, std::size_t size) {
    std::uint32_t value = 0;
    std::memcpy(&value, items.data() + index * size, size);
    return value;
}

Exit decode_io(Bytes run) {
    const auto io = LOAD(run, io);
    const std::uint64_t bytes = std::uint64_t{io.size} * io.count;
    const bool sane = (io.size == 1 || io.size == 2 || io.size == 4) && io.count > 0 &&
                      io.data_offset <= run.size() && bytes <= run.size() - io.data_offset;
    if (!sane) {
        return unknown(run);
    }
    if (io.direction == KVM_EXIT_IO_IN) {
        return IoIn{io.port, io.size, io.count};
    }
    const Bytes items = run.subspan(io.data_offset, bytes);
    IoOut out{io.port, io.size, io.count, item_at(items, 0, io.size), {}};
    for (std::uint32_t i = 1; i < io.count; ++i) {
        out.more.push_back(item_at(items, i, io.size));
    }
    return out;
}

Exit decode_mmio(Bytes run) {
    const auto mmio = LOAD(run, mmio);
    if (mmio.len == 0 || mmio.len > sizeof(mmio.data)) {
        return unknown(run);
    }
    const auto size = static_cast<std::uint8_t>(mmio.len);
    if (mmio.is_write == 0) {
        return MmioRead{Gpa(mmio.phys_addr), size};
    }
    std::uint64_t value = 0;
    std::memcpy(&value, mmio.data, size);
    return MmioWrite{Gpa(mmio.phys_addr), size, value};
}

Exit decode_debug(Bytes run) {
    const auto arch = LOAD(run, debug).arch;
    return Debug{arch.exception, Gva(arch.pc), arch.dr6, arch.dr7};
}

Exit decode_fail_entry(Bytes run) {
    const auto entry = LOAD(run, fail_entry);
    return FailEntry{entry.hardware_entry_failure_reason, entry.cpu};
}

Exit decode_internal_error(Bytes run) {
    const auto internal = LOAD(run, internal);
    if (internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
        const std::size_t count = std::min<std::size_t>(internal.ndata, std::size(internal.data));
        return InternalError{internal.suberror, {internal.data, internal.data + count}};
    }
    const auto failure = LOAD(run, emulation_failure);
    EmulationFailure result;
    constexpr std::uint32_t words_with_bytes = 3;  // flags, and size plus bytes in two words
    if (failure.ndata >= words_with_bytes &&
        (failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0) {
        result.size = std::min<std::uint8_t>(failure.insn_size, sizeof(failure.insn_bytes));
        std::copy_n(failure.insn_bytes, result.size, result.bytes.begin());
    }
    return result;
}

Exit decode_system_event(Bytes run) {
    const auto event = LOAD(run, system_event);
    const std::size_t count = std::min<std::size_t>(event.ndata, std::size(event.data));
    return SystemEvent{event.type, {event.data, event.data + count}};
}

struct Describe {
    static std::string bytes_text(std::uint8_t size) {
        return fmt::format("{} byte{}", size, size == 1 ? "" : "s");
    }
    static std::string port_text(const char* verb, std::uint16_t port, std::uint8_t size,
                                 std::uint32_t count) {
        return count == 1 ? fmt::format("{} port {:#x}, {}", verb, port, bytes_text(size))
                          : fmt::format("{} port {:#x}, {} items of {}", verb, port, count, bytes_text(size));
    }
    std::string operator()(const IoOut& e) const {
        return fmt::format("{}: {:#x}{}{:#x}", port_text("OUT", e.port, e.size, e.count), e.value,
                           e.more.empty() ? "" : ", ", fmt::join(e.more, ", "));
    }
    std::string operator()(const IoIn& e) const { return port_text("IN", e.port, e.size, e.count); }
    std::string operator()(const MmioRead& e) const {
        return fmt::format("read of {} at {}, where no memory is", bytes_text(e.size), e.gpa);
    }
    std::string operator()(const MmioWrite& e) const {
        return fmt::format("write of {:#x} ({}) at {}, where no writable memory is", e.value,
                           bytes_text(e.size), e.gpa);
    }
    std::string operator()(const Hlt&) const { return "HLT"; }
    std::string operator()(const Debug& e) const {
        return fmt::format("debug exception {} at {}, DR6 {:#x}, DR7 {:#x}", e.exception, e.pc, e.dr6, e.dr7);
    }
    std::string operator()(const IrqWindow&) const { return "interrupt window open"; }
    std::string operator()(const Shutdown&) const { return "shutdown (triple fault)"; }
    std::string operator()(const FailEntry& e) const {
        return fmt::format("entry refused by the CPU, hardware reason {:#x} on host CPU {}", e.reason, e.cpu);
    }
    std::string operator()(const InternalError& e) const {
        return fmt::format("KVM internal error {} with data [{:#x}]", e.suberror, fmt::join(e.data, ", "));
    }
    std::string operator()(const EmulationFailure& e) const {
        if (e.size == 0) {
            return "KVM cannot emulate an instruction it does not name";
        }
        return fmt::format("KVM cannot emulate the instruction [{:02x}]",
                           fmt::join(e.bytes.begin(), e.bytes.begin() + e.size, " "));
    }
    std::string operator()(const SystemEvent& e) const {
        return fmt::format("system event {} with data [{:#x}]", e.type, fmt::join(e.data, ", "));
    }
    std::string operator()(const Interrupted&) const { return "interrupted: the time budget is used up"; }
    std::string operator()(const Unknown& e) const {
        return fmt::format("unknown or malformed exit, reason {}, detail {:#x}", e.reason, e.detail);
    }
};

}  // namespace

Exit decode(std::span<const std::byte> run) {
    if (run.size() < sizeof(::kvm_run)) {
        return Unknown{};
    }
    switch (LOAD(run, exit_reason)) {
        case KVM_EXIT_IO:
            return decode_io(run);
        case KVM_EXIT_DEBUG:
            return decode_debug(run);
        case KVM_EXIT_HLT:
            return Hlt{};
        case KVM_EXIT_MMIO:
            return decode_mmio(run);
        case KVM_EXIT_IRQ_WINDOW_OPEN:
            return IrqWindow{};
        case KVM_EXIT_SHUTDOWN:
            return Shutdown{};
        case KVM_EXIT_FAIL_ENTRY:
            return decode_fail_entry(run);
        case KVM_EXIT_INTR:
            return Interrupted{};
        case KVM_EXIT_INTERNAL_ERROR:
            return decode_internal_error(run);
        case KVM_EXIT_SYSTEM_EVENT:
            return decode_system_event(run);
        default:
            return unknown(run);
    }
}

std::string describe(const Exit& exit) { return std::visit(Describe{}, exit); }

}  // namespace stackrig::kvm
