// Patch bookkeeping.
#include "vmm/machine/patches.hpp"

#include <fmt/format.h>

namespace stackrig::machine {

Result<Patches::Patch*> Patches::find_or_add(Gpa at) {
    if (const auto found = patches_.find(at.value()); found != patches_.end()) {
        return &found->second;
    }
    STACKRIG_TRY_ASSIGN(const auto original, memory_.read<std::uint8_t>(at));
    ++count_at(at);
    return &(patches_[at.value()] = {.original = original});
}

Result<void> Patches::settle(Gpa at) {
    const auto found = patches_.find(at.value());
    const Patch patch = found->second;
    if (patch.users == 0 && !patch.shown) {
        patches_.erase(found);
        --count_at(at);
    }
    memory_.unrecorded_bytes()[at - memory_.base()] =
        std::byte{patch.shown.value_or(patch.users > 0 ? patch.opcode : patch.original)};
    return {};
}

Result<void> Patches::place(Gpa at, std::uint8_t opcode) {
    STACKRIG_TRY_ASSIGN(Patch* const patch, find_or_add(at));
    if (patch->users > 0 && patch->opcode != opcode) {
        return fail(ErrorKind::rig, fmt::format("the byte at {} is patched already, with {:#x}", at, patch->opcode));
    }
    patch->opcode = opcode;
    return ++patch->users == 1 ? settle(at) : Result<void>{};
}

Result<void> Patches::lift(Gpa at) {
    const auto found = patches_.find(at.value());
    if (found == patches_.end() || found->second.users == 0) {
        return fail(ErrorKind::rig, fmt::format("no patch to lift at {}", at));
    }
    return --found->second.users == 0 ? settle(at) : Result<void>{};
}

Result<Patches::Shown> Patches::show(Gpa at, std::uint8_t opcode) {
    STACKRIG_TRY_ASSIGN(Patch* const patch, find_or_add(at));
    if (patch->shown) {
        return fail(ErrorKind::rig, fmt::format("the byte at {} is shown as {:#x} already", at, *patch->shown));
    }
    patch->shown = opcode;
    STACKRIG_TRY(settle(at));
    return Shown(*this, at);
}

Result<Patches::Shown> Patches::show_original(Gpa at) {
    STACKRIG_TRY_ASSIGN(const Patch* const patch, find_or_add(at));
    return show(at, patch->original);
}

Result<void> Patches::Shown::end() {
    Patches* const patches = std::exchange(patches_, nullptr);
    if (patches == nullptr) {
        return {};
    }
    patches->patches_.at(at_.value()).shown.reset();
    return patches->settle(at_);
}

bool Patches::read(Gpa from, std::span<std::byte> into) const {
    const std::span<const std::byte> ram = memory_.bytes();
    if (!memory_.contains(from, into.size())) {
        return false;
    }
    std::memcpy(into.data(), ram.data() + (from - memory_.base()), into.size());
    if (patches_.empty()) {
        return true;
    }
    for (auto patch = patches_.lower_bound(from.value());
         patch != patches_.end() && patch->first < from.value() + into.size(); ++patch) {
        into[patch->first - from.value()] = std::byte{patch->second.original};
    }
    return true;
}

std::optional<std::span<const std::byte>> Patches::in_place(Gpa from, std::size_t bytes) const {
    const auto patch = patches_.lower_bound(from.value());
    if (!memory_.contains(from, bytes) || (patch != patches_.end() && patch->first < from.value() + bytes)) {
        return std::nullopt;
    }
    return memory_.bytes().subspan(from - memory_.base(), bytes);
}

}  // namespace stackrig::machine
