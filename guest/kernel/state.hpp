// The kernel's one root object, and the boot parameters.
#pragma once

#include "guest/abi/boot_params.hpp"
#include "guest/kernel/types.hpp"

extern "C" stackrig::abi::KernelState kernel_state;

namespace guest {

inline abi::KernelState* state() { return &kernel_state; }

/// In the direct map; valid from the first instruction.
inline const abi::BootParams& boot_params() {
    return *reinterpret_cast<const abi::BootParams*>(abi::direct_map_base + abi::boot_params_pa);
}

/// What this boot makes of the mail's open questions.
inline const abi::Policies& policies() { return boot_params().policies; }

}  // namespace guest
