// What the events of a plan are to the CPU: how they are delivered, and which entry of the kernel they lead to.
#pragma once

#include <vector>

#include "guest/abi/entries.hpp"
#include "vmm/engine/plan.hpp"
#include "vmm/machine/deliver.hpp"
#include "vmm/x86/elf.hpp"

namespace stackrig::engine {

/// How KVM is asked for it. Not for EventKind::call, which a thread makes itself.
[[nodiscard]] machine::NativeEvent native(const Event& event);

/// The entry that `event` leads to when the CPU is in user mode.
[[nodiscard]] abi::Entry entry_of(const Event& event);

/// The first kernel instruction of an entry; of both interrupts for Entry::none.
[[nodiscard]] Result<std::vector<Gva>> handler_addresses(const x86::Elf& guest, abi::Entry entry);

}  // namespace stackrig::engine
