// Bytes the rig writes over guest code (HLT for places and handlers, INT3 for #BP), and the originals under them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

#include "vmm/base/phys_memory.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/memory.hpp"

namespace stackrig::machine {

inline constexpr std::uint8_t opcode_hlt = 0xf4;   ///< in CPL 0 and without an in-kernel irqchip: KVM_EXIT_HLT
inline constexpr std::uint8_t opcode_int3 = 0xcc;

/// Owns every patched byte. A byte may be wanted by several parties: the last one to lift it restores the original.
class Patches final : public PhysMemory {
  public:
    explicit Patches(kvm::Memory& memory) : memory_(memory) {}

    /// Error: rig, when `at` is outside RAM or already patched with another opcode.
    [[nodiscard]] Result<void> place(Gpa at, std::uint8_t opcode);
    [[nodiscard]] Result<void> lift(Gpa at);
    [[nodiscard]] bool contains(Gpa at) const { return patches_.contains(at.value()); }

    // PhysMemory: guest RAM as it would be without the rig.
    [[nodiscard]] bool read(Gpa from, std::span<std::byte> into) const override;
    [[nodiscard]] std::uint64_t size_bytes() const override { return memory_.size(); }

  private:
    struct Patch {
        std::uint8_t original;
        std::uint8_t opcode;
        unsigned users;
    };
    kvm::Memory& memory_;
    std::map<std::uint64_t, Patch> patches_;
};

}  // namespace stackrig::machine
