// Building a guest.
#include "vmm/machine/machine.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/machine/cpuid.hpp"

namespace stackrig::machine {
namespace {

constexpr std::uint8_t type_code = 11;  // execute, read, accessed (SDM 3.4.5.1)
constexpr std::uint8_t type_data = 3;   // read, write, accessed
constexpr std::uint64_t cr0_protected = 0x11;  // PE, ET
constexpr std::uint64_t mce_banks = 10;
constexpr std::uint64_t apic_base_bsp = 1u << 8;  // IA32_APIC_BASE.BSP (SDM 3A 11.4.4)

kvm::Segment flat_segment(std::uint16_t selector, std::uint8_t type) {
    kvm::Segment segment;
    segment.limit = 0xffffffff;
    segment.selector = selector;
    segment.type = type;
    segment.present = 1;
    segment.db = 1;
    segment.s = 1;
    segment.g = 1;
    return segment;
}

}  // namespace

Machine::Machine(kvm::Memory memory, kvm::Vm vm, x86::Decoder decoder, const MachineOptions& options)
    : memory_(std::move(memory)), vm_(std::move(vm)), patches_(memory_), decoder_(std::move(decoder)),
      kernel_map_base_(options.kernel_map_base), entry_(options.entry), boot_params_at_(options.boot_params_at) {}

Result<std::unique_ptr<Machine>> Machine::create(const kvm::System& system, const MachineOptions& options) {
    STACKRIG_TRY_ASSIGN(kvm::Memory memory, kvm::Memory::create(Gpa{0}, options.ram_bytes));
    STACKRIG_TRY_ASSIGN(kvm::Vm vm, system.create_vm());
    STACKRIG_TRY_ASSIGN(x86::Decoder decoder, x86::Decoder::create());
    std::unique_ptr<Machine> machine(new Machine(std::move(memory), std::move(vm), std::move(decoder), options));
    STACKRIG_TRY(machine->load(options));
    STACKRIG_TRY(machine->vm_.add_slot({.id = kvm::SlotId{0}, .base = Gpa{0}, .host = machine->memory_.unrecorded_bytes()}));
    STACKRIG_TRY_ASSIGN(auto supported, system.supported_cpuid());
    const std::vector<kvm::CpuidEntry> cpuid = without_pcids(std::move(supported));
    for (std::uint32_t i = 0; i < options.cpus; ++i) {
        STACKRIG_TRY_ASSIGN(kvm::Vcpu vcpu, machine->vm_.create_vcpu(CpuId{i}));
        STACKRIG_TRY(vcpu.set_cpuid(cpuid));
        STACKRIG_TRY(vcpu.set_up_mce(mce_banks));
        machine->vcpus_.push_back(std::move(vcpu));
    }
    STACKRIG_TRY_ASSIGN(machine->reset_, machine->vcpus_.front().sregs());
    STACKRIG_TRY(machine->start_cpu(CpuId{0}));
    return machine;
}

Result<void> Machine::load(const MachineOptions& options) {
    for (const ImageSegment& segment : options.image) {
        if (!memory_.contains(segment.at, segment.memory_bytes) || segment.bytes.size() > segment.memory_bytes) {
            return fail(ErrorKind::usage, fmt::format("the guest's segment at {}, {:#x} bytes, does not fit into {:#x} bytes of RAM: "
                                                      "give the guest more RAM",
                                                      segment.at, segment.memory_bytes, options.ram_bytes));
        }
        STACKRIG_TRY(memory_.write(segment.at, segment.bytes));
    }
    return memory_.write(options.boot_params_at, options.boot_params);
}

Result<void> Machine::start_cpu(CpuId cpu) {
    kvm::Vcpu& vcpu = vcpus_[cpu.value()];
    kvm::Sregs sregs = reset_;
    if (cpu != CpuId{0}) {
        sregs.apic_base &= ~apic_base_bsp;
    }
    sregs.cs = flat_segment(0x08, type_code);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(0x10, type_data);
    sregs.cr0 = cr0_protected;
    STACKRIG_TRY(vcpu.set_sregs(sregs));
    STACKRIG_TRY(vcpu.set_events({}));
    kvm::Regs regs;
    regs.rip = entry_.value();
    regs.rbx = boot_params_at_.value();
    regs.rsi = cpu.value();
    regs.rflags = 2;
    return vcpu.set_regs(regs);
}

void Machine::saw_root(Gpa root) {
    if (std::find(roots_.begin(), roots_.end(), root) == roots_.end()) {
        roots_.push_back(root);
    }
}

Result<AddressSpace> Machine::address_space(CpuId cpu) const {
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, vcpus_[cpu.value()].sregs());
    return AddressSpace(patches_, sregs);
}

Result<Gpa> Machine::physical(CpuId cpu, Gva address) const {
    STACKRIG_TRY_ASSIGN(const AddressSpace space, address_space(cpu));
    return space.physical(address);
}

}  // namespace stackrig::machine
