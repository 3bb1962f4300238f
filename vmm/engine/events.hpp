// What the events of a plan are to the CPU: how they are delivered, and which entry of the kernel they lead to.
#pragma once

#include <optional>

#include "guest/abi/entries.hpp"
#include "vmm/engine/plan.hpp"
#include "vmm/machine/deliver.hpp"

namespace stackrig::engine {

/// How KVM is asked for it. Not for EventKind::call, which a thread makes itself.
[[nodiscard]] machine::NativeEvent native(const Event& event);

/// The entry that `event` leads to when the CPU is in user mode.
[[nodiscard]] abi::Entry entry_of(const Event& event);

/// The entry behind an exception vector; nothing for vectors that no scenario raises. #PF is a user address.
[[nodiscard]] std::optional<abi::Entry> entry_of_exception(Vector vector);

}  // namespace stackrig::engine
