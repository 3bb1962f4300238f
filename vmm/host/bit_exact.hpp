// One request to a worker in a virtual host that runs the same to the tick, each time it is asked.
#pragma once

#include <chrono>

#include "vmm/base/result.hpp"
#include "vmm/host/session.hpp"
#include "vmm/host/stream.hpp"

namespace stackrig::host {

/// Boots a virtual host under QEMU's -icount with worker, guest and request in its initial RAM filesystem, and waits for the
/// answer: TSC and every interrupt of the virtual host come at the same instruction each time. Takes seconds, for it cannot
/// start from a saved state. Errors: the worker's own; host: no boot, no answer within `patience`.
[[nodiscard]] Result<Json> ask_bit_exact(const BuildPaths& paths, bool nested_paging, const Json& request, std::chrono::milliseconds patience);

}  // namespace stackrig::host
