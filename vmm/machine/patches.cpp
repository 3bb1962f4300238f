// Patch bookkeeping.
#include "vmm/machine/patches.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace stackrig::machine {

std::vector<Patches::Patch>::const_iterator Patches::first_from(Gpa at) const {
    return std::lower_bound(patches_.begin(), patches_.end(), at, [](const Patch& patch, Gpa wanted) { return patch.at < wanted; });
}

bool Patches::contains(Gpa at) const {
    const auto found = first_from(at);
    return found != patches_.end() && found->at == at;
}

Patches::Patch* Patches::find(Gpa at) {
    return contains(at) ? &patches_[static_cast<std::size_t>(first_from(at) - patches_.begin())] : nullptr;
}

Result<Patches::Patch*> Patches::find_or_add(Gpa at) {
    if (Patch* const known = find(at)) {
        return known;
    }
    STACKRIG_TRY_ASSIGN(const auto original, memory_.read<std::uint8_t>(at));
    ++count_at(at);
    return &*patches_.insert(first_from(at), {.at = at, .original = original});
}

void Patches::settle(Patch& patch) {
    memory_.unrecorded_bytes()[patch.at - memory_.base()] =
        std::byte{patch.shown.value_or(patch.users > 0 ? patch.opcode : patch.original)};
    if (patch.users == 0 && !patch.shown) {
        --count_at(patch.at);
        patches_.erase(first_from(patch.at));
    }
}

Result<void> Patches::place(Gpa at, std::uint8_t opcode) {
    STACKRIG_TRY_ASSIGN(Patch* const patch, find_or_add(at));
    if (patch->users > 0 && patch->opcode != opcode) {
        return fail(ErrorKind::rig, fmt::format("the byte at {} is patched already, with {:#x}", at, patch->opcode));
    }
    patch->opcode = opcode;
    if (++patch->users == 1) {
        settle(*patch);
    }
    return {};
}

Result<void> Patches::lift(Gpa at) {
    Patch* const patch = find(at);
    if (patch == nullptr || patch->users == 0) {
        return fail(ErrorKind::rig, fmt::format("no patch to lift at {}", at));
    }
    if (--patch->users == 0) {
        settle(*patch);
    }
    return {};
}

Result<Patches::Shown> Patches::show(Gpa at, std::uint8_t opcode) {
    STACKRIG_TRY_ASSIGN(Patch* const patch, find_or_add(at));
    if (patch->shown) {
        return fail(ErrorKind::rig, fmt::format("the byte at {} is shown as {:#x} already", at, *patch->shown));
    }
    patch->shown = opcode;
    settle(*patch);
    return Shown(*this, at);
}

Result<Patches::Shown> Patches::show_original(Gpa at) {
    STACKRIG_TRY_ASSIGN(const Patch* const patch, find_or_add(at));
    return show(at, patch->original);
}

Patches::Shown::~Shown() {
    if (patches_ != nullptr) {
        Patch& patch = *patches_->find(at_);
        patch.shown.reset();
        patches_->settle(patch);
    }
}

bool Patches::read(Gpa from, std::span<std::byte> into) const {
    const std::span<const std::byte> ram = memory_.bytes();
    if (!memory_.contains(from, into.size())) {
        return false;
    }
    std::memcpy(into.data(), ram.data() + (from - memory_.base()), into.size());
    for (auto patch = first_from(from); patch != patches_.end() && patch->at - from < into.size(); ++patch) {
        into[patch->at - from] = std::byte{patch->original};
    }
    return true;
}

std::optional<std::span<const std::byte>> Patches::in_place(Gpa from, std::size_t bytes) const {
    const auto patch = first_from(from);
    if (!memory_.contains(from, bytes) || (patch != patches_.end() && patch->at - from < bytes)) {
        return std::nullopt;
    }
    return memory_.bytes().subspan(from - memory_.base(), bytes);
}

}  // namespace stackrig::machine
