// The table of capabilities: number, kernel's name, whether required.
#include "vmm/kvm/capability.hpp"

#include <algorithm>
#include <array>

#include "vmm/kvm/uapi.hpp"

namespace stackrig::kvm {
namespace {

struct Row {
    Capability capability;
    std::string_view name;
};

// The number comes from kvm.h and must equal the enum's: a typo in either does not compile.
#define ROW(own, kernel)                                                                \
    [] {                                                                                \
        static_assert(static_cast<std::uint32_t>(Capability::own) == KVM_CAP_##kernel); \
        return Row{Capability::own, "KVM_CAP_" #kernel};                                \
    }()

constexpr std::array rows{
    ROW(user_memory, USER_MEMORY),
    ROW(set_tss_addr, SET_TSS_ADDR),
    ROW(ext_cpuid, EXT_CPUID),
    ROW(nr_vcpus, NR_VCPUS),
    ROW(nr_memslots, NR_MEMSLOTS),
    ROW(user_nmi, USER_NMI),
    ROW(set_guest_debug, SET_GUEST_DEBUG),
    ROW(mce, MCE),
    ROW(set_identity_map_addr, SET_IDENTITY_MAP_ADDR),
    ROW(vcpu_events, VCPU_EVENTS),
    ROW(debugregs, DEBUGREGS),
    ROW(xsave, XSAVE),
    ROW(tsc_control, TSC_CONTROL),
    ROW(get_tsc_khz, GET_TSC_KHZ),
    ROW(max_vcpus, MAX_VCPUS),
    ROW(sync_regs, SYNC_REGS),
    ROW(readonly_mem, READONLY_MEM),
    ROW(immediate_exit, IMMEDIATE_EXIT),
    ROW(exception_payload, EXCEPTION_PAYLOAD),
    ROW(manual_dirty_log_protect2, MANUAL_DIRTY_LOG_PROTECT2),
    ROW(x86_user_space_msr, X86_USER_SPACE_MSR),
    ROW(x86_msr_filter, X86_MSR_FILTER),
    ROW(set_guest_debug2, SET_GUEST_DEBUG2),
    ROW(x86_triple_fault_event, X86_TRIPLE_FAULT_EVENT),
};
#undef ROW

constexpr auto listed = [] {
    std::array<Capability, rows.size()> all{};
    std::ranges::transform(rows, all.begin(), &Row::capability);
    return all;
}();

constexpr std::array required{
    Capability::user_memory,     Capability::set_tss_addr, Capability::ext_cpuid, Capability::user_nmi,
    Capability::set_guest_debug, Capability::vcpu_events,  Capability::debugregs, Capability::immediate_exit,
};

constexpr std::string_view prefix = "KVM_CAP_";

}  // namespace

std::string_view name(Capability capability) {
    const auto* row = std::ranges::find(rows, capability, &Row::capability);
    return row == rows.end() ? std::string_view("KVM_CAP_?") : row->name;
}

std::optional<Capability> capability_by_name(std::string_view text) {
    const auto* row = std::ranges::find_if(
        rows, [text](const Row& r) { return r.name == text || r.name.substr(prefix.size()) == text; });
    if (row == rows.end()) {
        return std::nullopt;
    }
    return row->capability;
}

std::span<const Capability> all_capabilities() { return listed; }

std::span<const Capability> required_capabilities() { return required; }

}  // namespace stackrig::kvm
