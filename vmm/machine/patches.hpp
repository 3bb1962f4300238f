// Bytes the rig writes over guest code (HLT for places and handlers, INT3 for #BP), and the originals under them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/phys_memory.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/memory.hpp"

namespace stackrig::machine {

inline constexpr std::uint8_t opcode_hlt = 0xf4;   ///< in CPL 0 and without an in-kernel irqchip: KVM_EXIT_HLT
inline constexpr std::uint8_t opcode_int3 = 0xcc;
inline constexpr std::uint8_t opcode_sti = 0xfb;

/// Owns every patched byte. A byte may be wanted by several parties: the last one to lift it restores the original.
class Patches final : public PhysMemory {
  public:
    explicit Patches(kvm::Memory& memory) : memory_(memory), on_page_(memory.pages()) {}

    /// Error: rig, when `at` is outside RAM or already patched with another opcode.
    [[nodiscard]] Result<void> place(Gpa at, std::uint8_t opcode);
    [[nodiscard]] Result<void> lift(Gpa at);
    [[nodiscard]] bool empty() const { return patches_.empty(); }
    [[nodiscard]] bool contains(Gpa at) const;

    /// What the guest finds at one address for as long as this lives, whatever the patches there say.
    class Shown {
      public:
        Shown(Shown&& other) noexcept : patches_(std::exchange(other.patches_, nullptr)), at_(other.at_) {}
        Shown& operator=(Shown&&) = delete;
        ~Shown();

      private:
        friend class Patches;
        Shown(Patches& patches, Gpa at) : patches_(&patches), at_(at) {}
        Patches* patches_;
        Gpa at_;
    };
    /// `opcode`, over patches and all; one at a time per address (rig error).
    [[nodiscard]] Result<Shown> show(Gpa at, std::uint8_t opcode);
    /// The guest's own byte, to step over a patch.
    [[nodiscard]] Result<Shown> show_original(Gpa at);

    /// Whether some byte of the page, counted from the first of RAM, is not the guest's own.
    [[nodiscard]] bool on_page(std::size_t page) const { return on_page_[page] != 0; }

    // PhysMemory: guest RAM as it would be without the rig.
    [[nodiscard]] bool read(Gpa from, std::span<std::byte> into) const override;
    [[nodiscard]] std::optional<std::span<const std::byte>> in_place(Gpa from, std::size_t bytes) const override;
    [[nodiscard]] std::uint64_t size_bytes() const override { return memory_.size(); }

  private:
    struct Patch {
        Gpa at;
        std::uint8_t original = 0;
        std::uint8_t opcode = 0;  // while users > 0
        unsigned users = 0;
        std::optional<std::uint8_t> shown;
    };
    /// The first patch at `at` or behind it.
    [[nodiscard]] std::vector<Patch>::const_iterator first_from(Gpa at) const;
    [[nodiscard]] Patch* find(Gpa at);
    /// The patch at `at`, new and without effect when there was none; until the next one is added or forgotten.
    [[nodiscard]] Result<Patch*> find_or_add(Gpa at);
    [[nodiscard]] std::uint16_t& count_at(Gpa at) { return on_page_[(at - memory_.base()) / page_size]; }
    /// RAM gets the byte that the patch wants there; a patch that wants nothing any more is forgotten. Not recorded as written
    /// by the host: to everybody but the guest the byte is what it was.
    void settle(Patch& patch);

    kvm::Memory& memory_;
    std::vector<Patch> patches_;  // by address
    std::vector<std::uint16_t> on_page_;  // how many of them
};

}  // namespace stackrig::machine
