// Every address where the CPU can enter the kernel: IDT handlers and the targets of SYSCALL and SYSENTER.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/x86/descriptors.hpp"

namespace stackrig::machine {

/// The guest's IDT entry (SDM 3A 6.14.1). Error: guest, where there is none.
[[nodiscard]] Result<x86::Gate> idt_gate(Machine& machine, CpuId cpu, Vector vector);
/// The handler's address in it.
[[nodiscard]] Result<Gva> idt_handler(Machine& machine, CpuId cpu, Vector vector);

/// A HLT over the first byte of each entry, for as long as this lives: whatever takes the CPU into the kernel ends the run there,
/// before the first instruction (KVM_EXIT_HLT, RIP one byte behind the entry).
class EntryTraps {
  public:
    /// Entries that the CPU's page tables do not map cannot be taken and are left out. Outside long mode there are none.
    static Result<EntryTraps> set(Machine& machine, CpuId cpu);
    EntryTraps(EntryTraps&& other) noexcept = default;
    EntryTraps& operator=(EntryTraps&& other) noexcept;
    ~EntryTraps() { (void)lift(); }

    [[nodiscard]] bool contains(Gva address) const { return entries_.contains(address); }
    /// The vector whose handler starts at `address`, the lowest if several do; nothing for a target of SYSCALL or SYSENTER.
    [[nodiscard]] std::optional<Vector> vector_at(Gva address) const;
    [[nodiscard]] Result<void> lift();

  private:
    struct Entry {
        Gpa at;
        std::optional<Vector> vector;
    };
    explicit EntryTraps(Machine& machine) : machine_(&machine) {}
    Machine* machine_;
    std::map<Gva, Entry> entries_;
};

}  // namespace stackrig::machine
