// Patch bookkeeping.
#include "vmm/machine/patches.hpp"

#include <fmt/format.h>

namespace stackrig::machine {

Result<void> Patches::place(Gpa at, std::uint8_t opcode) {
    if (const auto found = patches_.find(at.value()); found != patches_.end()) {
        if (found->second.opcode != opcode) {
            return fail(ErrorKind::rig, fmt::format("the byte at {} is patched already, with {:#x}", at, found->second.opcode));
        }
        ++found->second.users;
        return {};
    }
    STACKRIG_TRY_ASSIGN(const auto original, memory_.read<std::uint8_t>(at));
    STACKRIG_TRY(memory_.write(at, opcode));
    patches_[at.value()] = {original, opcode, 1};
    return {};
}

Result<void> Patches::lift(Gpa at) {
    const auto found = patches_.find(at.value());
    if (found == patches_.end()) {
        return fail(ErrorKind::rig, fmt::format("no patch to lift at {}", at));
    }
    if (--found->second.users > 0) {
        return {};
    }
    const std::uint8_t original = found->second.original;
    patches_.erase(found);
    return memory_.write(at, original);
}

bool Patches::read(Gpa from, std::span<std::byte> into) const {
    const std::span<const std::byte> ram = memory_.bytes();
    if (!memory_.contains(from, into.size())) {
        return false;
    }
    std::memcpy(into.data(), ram.data() + (from - memory_.base()), into.size());
    for (auto patch = patches_.lower_bound(from.value());
         patch != patches_.end() && patch->first < from.value() + into.size(); ++patch) {
        into[patch->first - from.value()] = std::byte{patch->second.original};
    }
    return true;
}

}  // namespace stackrig::machine
