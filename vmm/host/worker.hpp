// The worker's side of the stream: takes requests, runs guests, answers. No files, no terminal.
#pragma once

#include <string>

#include "vmm/base/result.hpp"

namespace stackrig::host {

/// Serves requests from descriptor `in`, answers to descriptor `out`, until `in` ends. `guest`: path of guest.elf.
/// Requests: {"do":"probe"}, {"do":"run","file","text","timeline","timeline_of_passes"}, {"do":"inspect","file","text","at"}, {"do":"bench"},
/// {"do":"gdb","file","text","at"} and then {"do":"gdb-packet","packet"}. Any may name another guest image: {"guest": path}.
[[nodiscard]] Result<void> serve(int in, int out, const std::string& guest);

}  // namespace stackrig::host
