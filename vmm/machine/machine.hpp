// Machine: one guest: RAM with its image, one or more vCPUs, the patches on its code.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/memory.hpp"
#include "vmm/kvm/system.hpp"
#include "vmm/kvm/vcpu.hpp"
#include "vmm/kvm/vm.hpp"
#include "vmm/machine/address_space.hpp"
#include "vmm/machine/patches.hpp"
#include "vmm/x86/decode.hpp"

namespace stackrig::machine {

/// A piece of the guest's image: file bytes, then zeros up to `memory_bytes`.
struct ImageSegment {
    Gpa at;
    std::span<const std::byte> bytes;
    std::uint64_t memory_bytes = 0;
};

struct MachineOptions {
    std::uint64_t ram_bytes = 16u << 20;
    std::uint32_t cpus = 1;
    std::vector<ImageSegment> image;
    Gpa entry;                          ///< 32-bit entry point
    Gpa boot_params_at;                 ///< also in EBX at the entry point
    std::span<const std::byte> boot_params;
    /// Where kernel text lies: va = kernel_map_base + pa. Patches and handlers are found with it.
    Gva kernel_map_base;
};

class Machine {
  public:
    /// Creates the VM, loads the image, and puts CPU 0 at the entry point in 32-bit protected mode without paging.
    /// Errors: rig for an image that does not fit into RAM; host for what KVM refuses.
    static Result<std::unique_ptr<Machine>> create(const kvm::System& system, const MachineOptions& options);

    [[nodiscard]] kvm::Vcpu& vcpu(CpuId cpu) { return vcpus_[cpu.value()]; }
    [[nodiscard]] kvm::Memory& memory() { return memory_; }
    [[nodiscard]] kvm::Vm& vm() { return vm_; }
    [[nodiscard]] Patches& patches() { return patches_; }
    [[nodiscard]] const x86::Decoder& decoder() const { return decoder_; }
    [[nodiscard]] std::uint32_t cpus() const { return static_cast<std::uint32_t>(vcpus_.size()); }
    /// Puts a CPU at the entry point (SDM 3A 9.4.3: INIT, then SIPI), in 32-bit protected mode without paging, its number in
    /// ESI. Everything else it had is gone.
    [[nodiscard]] Result<void> start_cpu(CpuId cpu);
    /// RAM without patches.
    [[nodiscard]] const PhysMemory& clean_memory() const { return patches_; }

    /// Remembers that a CPU was seen to run on these page tables (CR3 without its flags).
    void saw_root(Gpa root);
    [[nodiscard]] std::span<const Gpa> roots() const { return roots_; }

    /// What `cpu` sees by its current CR3.
    [[nodiscard]] Result<AddressSpace> address_space(CpuId cpu) const;
    /// Physical address behind an address of `cpu`, as its current CR3 has it.
    [[nodiscard]] Result<Gpa> physical(CpuId cpu, Gva address) const;
    /// Physical address of kernel text, without a walk.
    [[nodiscard]] Gpa kernel_text(Gva address) const { return Gpa(address - kernel_map_base_); }

  private:
    Machine(kvm::Memory memory, kvm::Vm vm, x86::Decoder decoder, const MachineOptions& options);
    [[nodiscard]] Result<void> load(const MachineOptions& options);

    kvm::Memory memory_;  // outlives vm_, whose slot it is
    kvm::Vm vm_;
    std::vector<kvm::Vcpu> vcpus_;
    Patches patches_;
    x86::Decoder decoder_;
    Gva kernel_map_base_;
    Gpa entry_;
    Gpa boot_params_at_;
    kvm::Sregs reset_;  ///< of a CPU that never ran
    std::vector<Gpa> roots_;
};

}  // namespace stackrig::machine
