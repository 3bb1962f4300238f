// Comparing frames.
#include "vmm/x86/frames.hpp"

#include <fmt/format.h>

namespace stackrig::x86 {

std::string differences(const InterruptFrame& seen, const InterruptFrame& meant) {
    std::string text;
    const auto compare = [&text](const char* name, std::uint64_t is, std::uint64_t should) {
        if (is != should) {
            text += fmt::format("{}{} {:#x} instead of {:#x}", text.empty() ? "" : ", ", name, is, should);
        }
    };
    compare("RIP", seen.rip, meant.rip);
    compare("CS", seen.cs & 0xffff, meant.cs & 0xffff);
    compare("RFLAGS", seen.rflags & ~rflags::rf, meant.rflags & ~rflags::rf);
    compare("RSP", seen.rsp, meant.rsp);
    compare("SS", seen.ss & 0xffff, meant.ss & 0xffff);
    return text;
}

}  // namespace stackrig::x86
