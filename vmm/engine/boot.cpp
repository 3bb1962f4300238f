// RunPlan -> BootParams.
#include "vmm/engine/boot.hpp"

#include <algorithm>

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
    std::copy(plan.guest.depth.begin(), plan.guest.depth.end(), params->depth);
    for (std::size_t i = 0; i < plan.threads.size(); ++i) {
        const ThreadPlan& thread = plan.threads[i];
        abi::ThreadSpec& spec = params->threads[i];
        thread.name.copy(spec.name, sizeof spec.name - 1);
        spec.kind = thread.kind;
        spec.cpu = thread.cpu.value();
        spec.op_count = static_cast<std::uint32_t>(thread.program.size());
        std::copy(thread.program.begin(), thread.program.end(), spec.ops);
    }
    return params;
}

}  // namespace stackrig::engine
