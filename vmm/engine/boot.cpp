// RunPlan -> BootParams.
#include "vmm/engine/boot.hpp"

#include <algorithm>

#include "guest/abi/state.hpp"
#include "vmm/engine/steer.hpp"

namespace stackrig::engine {

std::unique_ptr<abi::BootParams> make_boot_params(const RunPlan& plan) {
    auto params = std::make_unique<abi::BootParams>();
    params->magic = abi::boot_magic;
    params->version = abi::abi_version;
    params->ram_bytes = plan.guest.ram_bytes;
    params->scheme = plan.guest.scheme;
    params->cpus = plan.guest.cpus;
    params->cache_pages = plan.guest.cache_pages;
    params->reserve_pages = plan.guest.reserve_pages;
    params->free_pages = plan.guest.free_pages.value_or(~0u);
    params->thread_count = static_cast<std::uint32_t>(plan.threads.size());
    params->bail_outs = plan.guest.bail_outs;
    params->offline = plan.guest.offline;
    params->reclaim_depth = plan.guest.reclaim_depth;
    params->crowd = plan.guest.crowd;
    params->softirq_depth = plan.guest.softirq_depth;
    params->policies = plan.guest.policies;
    std::copy(plan.guest.depth.begin(), plan.guest.depth.end(), params->depth);
    for (std::size_t i = 0; i < plan.threads.size(); ++i) {
        const ThreadPlan& thread = plan.threads[i];
        abi::ThreadSpec& spec = params->threads[i];
        thread.name.copy(spec.name, sizeof spec.name - 1);
        spec.kind = thread.kind;
        spec.cpu = thread.cpu.value();
        spec.priority = thread.priority;
        spec.forked = thread.forked ? 1 : 0;
        spec.op_count = static_cast<std::uint32_t>(thread.program.size());
        std::copy(thread.program.begin(), thread.program.end(), spec.ops);
    }
    return params;
}

Result<void> announce_async_page_fault(machine::Machine& machine, CpuId cpu, const x86::Elf& guest) {
    STACKRIG_TRY_ASSIGN(const Gva state, guest_symbol(guest, "kernel_state"));
    const Gpa pointer = machine.kernel_text(state + offsetof(abi::KernelState, percpu) + cpu.value() * sizeof(std::uint64_t));
    STACKRIG_TRY_ASSIGN(const auto percpu, machine.memory().read<std::uint64_t>(pointer));
    return machine.memory().write(machine.kernel_text(Gva(percpu + offsetof(abi::PerCpu, apf_reason))), std::uint32_t{1});
}

}  // namespace stackrig::engine
