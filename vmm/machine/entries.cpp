// Reading the IDT and the entry MSRs.
#include "vmm/machine/entries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "vmm/machine/address_space.hpp"
#include "vmm/x86/descriptors.hpp"

namespace stackrig::machine {
namespace {

struct Found {
    Gva handler;
    std::optional<Vector> vector;
};

Result<std::vector<Found>> entries_of(Machine& machine, CpuId cpu, const kvm::Sregs& sregs, const AddressSpace& space) {
    std::vector<Found> found;
    const std::size_t gates = std::min<std::size_t>((sregs.idt.limit + std::size_t{1}) / sizeof(x86::Gate), 256);
    std::vector<x86::Gate> idt(gates);
    STACKRIG_TRY(space.read(Gva(sregs.idt.base), std::as_writable_bytes(std::span(idt))));
    for (std::size_t i = 0; i < gates; ++i) {
        if (idt[i].present()) {
            found.push_back({idt[i].handler(), Vector(static_cast<std::uint8_t>(i))});
        }
    }
    std::array<kvm::Msr, 3> msrs{{{x86::msr::lstar}, {x86::msr::cstar}, {x86::msr::sysenter_eip}}};
    STACKRIG_TRY(machine.vcpu(cpu).get_msrs(msrs));
    for (const kvm::Msr& msr : msrs) {
        if (msr.value != 0) {
            found.push_back({Gva(msr.value), std::nullopt});
        }
    }
    return found;
}

}  // namespace

Result<x86::Gate> idt_gate(Machine& machine, CpuId cpu, Vector vector) {
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, machine.vcpu(cpu).sregs());
    const std::uint64_t offset = vector.value() * sizeof(x86::Gate);
    const AddressSpace space(machine.clean_memory(), sregs);
    STACKRIG_TRY_ASSIGN(const auto gate, space.read<x86::Gate>(Gva(sregs.idt.base + offset)));
    if (!gate.present() || offset + sizeof(x86::Gate) > sregs.idt.limit + std::uint64_t{1}) {
        return fail(ErrorKind::guest, fmt::format("the guest's IDT has no handler for vector {}", vector));
    }
    return gate;
}

Result<Gva> idt_handler(Machine& machine, CpuId cpu, Vector vector) {
    STACKRIG_TRY_ASSIGN(const x86::Gate gate, idt_gate(machine, cpu, vector));
    return gate.handler();
}

Result<EntryTraps> EntryTraps::set(Machine& machine, CpuId cpu) {
    EntryTraps traps(machine);
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, machine.vcpu(cpu).sregs());
    if ((sregs.efer & x86::efer::lma) == 0) {
        return traps;
    }
    const AddressSpace space(machine.clean_memory(), sregs);
    STACKRIG_TRY_ASSIGN(const std::vector<Found> found, entries_of(machine, cpu, sregs, space));
    for (const Found& entry : found) {
        const auto at = space.physical(entry.handler);
        if (!at || traps.entries_.contains(entry.handler)) {
            continue;
        }
        STACKRIG_TRY(machine.patches().place(*at, opcode_hlt));
        traps.entries_[entry.handler] = {*at, entry.vector};
    }
    return traps;
}

EntryTraps& EntryTraps::operator=(EntryTraps&& other) noexcept {
    std::swap(machine_, other.machine_);
    std::swap(entries_, other.entries_);
    return *this;
}

std::optional<Vector> EntryTraps::vector_at(Gva address) const {
    const auto found = entries_.find(address);
    return found == entries_.end() ? std::nullopt : found->second.vector;
}

Result<void> EntryTraps::lift() {
    while (!entries_.empty()) {
        const Gpa at = entries_.begin()->second.at;
        entries_.erase(entries_.begin());
        STACKRIG_TRY(machine_->patches().lift(at));
    }
    return {};
}

}  // namespace stackrig::machine
