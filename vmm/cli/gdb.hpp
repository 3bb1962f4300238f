// `--gdb PORT`: lets gdb attach to a guest that stands at a place.
#pragma once

#include <cstdint>

#include "vmm/base/result.hpp"
#include "vmm/host/worker_client.hpp"

namespace stackrig::cli {

/// Has the worker run to the place (`request`: "do": "gdb"), says how to attach, and serves one gdb on 127.0.0.1:`port` until it
/// leaves. Port 0: any that is free; it is printed.
[[nodiscard]] Result<void> serve_gdb(host::WorkerClient& worker, const host::Json& request, std::uint16_t port);

}  // namespace stackrig::cli
