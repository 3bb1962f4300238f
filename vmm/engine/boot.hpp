// BootParams for a plan.
#pragma once

#include <memory>

#include "guest/abi/boot_params.hpp"
#include "vmm/engine/plan.hpp"

namespace stackrig::engine {

/// What the guest finds at abi::boot_params_pa. The plan has been checked: names, counts and programs fit.
[[nodiscard]] std::unique_ptr<abi::BootParams> make_boot_params(const RunPlan& plan);

}  // namespace stackrig::engine
