// The stepper's and the injector's self-test: whether this KVM keeps the rules that exact stepping and exact delivery rest on.
#pragma once

#include <vector>

#include "vmm/host/probe.hpp"
#include "vmm/x86/elf.hpp"

namespace stackrig::host {

/// Walks the guest of guest/steps instruction by instruction against its listing, then again with an NMI and with an IRQ at
/// every boundary of a way to user mode and back. An item per rule, each `required`, for a verdict rests on it: "rule.step.sti",
/// "rule.clean", "rule.nmi", "rule.irq". For a KVM that passed the probe only. Errors: what keeps the test from being made at all.
[[nodiscard]] Result<std::vector<ProbeItem>> self_test(const kvm::System& system, const x86::Elf& steps);

}  // namespace stackrig::host
