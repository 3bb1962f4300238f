// errno names and the standard failure text of system calls.
#include <cstring>
#include <fmt/format.h>

#include "vmm/base/result.hpp"

namespace stackrig {

std::string errno_text(int err) {
    const char* name = ::strerrorname_np(err);
    if (name == nullptr) {
        return fmt::format("errno {}", err);
    }
    return fmt::format("{} ({})", name, ::strerrordesc_np(err));
}

Unexpected fail_errno(ErrorKind kind, std::string_view call, int err, std::string_view context) {
    if (context.empty()) {
        return fail(kind, fmt::format("{}: {}", call, errno_text(err)));
    }
    return fail(kind, fmt::format("{}: {} {}", call, errno_text(err), context));
}

}  // namespace stackrig
