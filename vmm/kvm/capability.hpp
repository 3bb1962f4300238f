// Capability: the KVM extensions stackrig asks for, by name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace stackrig::kvm {

/// Values are the kernel's KVM_CAP_* numbers (api.rst 4.4).
enum class Capability : std::uint32_t {
    user_memory = 3,
    set_tss_addr = 4,
    ext_cpuid = 7,
    nr_vcpus = 9,
    nr_memslots = 10,
    user_nmi = 22,
    set_guest_debug = 23,
    mce = 31,
    set_identity_map_addr = 37,
    vcpu_events = 41,
    debugregs = 50,
    xsave = 55,
    tsc_control = 60,
    get_tsc_khz = 61,
    max_vcpus = 66,
    sync_regs = 74,
    readonly_mem = 81,
    immediate_exit = 136,
    exception_payload = 164,
    manual_dirty_log_protect2 = 168,
    x86_user_space_msr = 188,
    x86_msr_filter = 189,
    set_guest_debug2 = 195,
    x86_triple_fault_event = 218,
};

/// The kernel's spelling: "KVM_CAP_READONLY_MEM".
[[nodiscard]] std::string_view name(Capability capability);

/// The capability of that spelling, with or without "KVM_CAP_"; nothing when stackrig does not know it.
[[nodiscard]] std::optional<Capability> capability_by_name(std::string_view text);

/// Every capability above, in numeric order: for a table of what the host has.
[[nodiscard]] std::span<const Capability> all_capabilities();

/// Those without which System::open() or a Vm cannot work at all.
[[nodiscard]] std::span<const Capability> required_capabilities();

}  // namespace stackrig::kvm
