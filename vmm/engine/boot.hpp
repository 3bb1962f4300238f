// What the VMM writes into guest memory: BootParams for a plan, and a hypervisor's word before an event.
#pragma once

#include <memory>

#include "guest/abi/boot_params.hpp"
#include "vmm/base/result.hpp"
#include "vmm/engine/plan.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/x86/elf.hpp"

namespace stackrig::engine {

/// What the guest finds at abi::boot_params_pa. The plan has been checked: names, counts and programs fit.
[[nodiscard]] std::unique_ptr<abi::BootParams> make_boot_params(const RunPlan& plan);

/// What a hypervisor writes before it raises an asynchronous #PF on `cpu` (Linux: kvm_vcpu_pv_apf_data::flags).
[[nodiscard]] Result<void> announce_async_page_fault(machine::Machine& machine, CpuId cpu, const x86::Elf& guest);

}  // namespace stackrig::engine
