// BareGuest: the smallest long-mode guest that can take events: for the host probe and for the tests of
// libkvm.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/memory.hpp"
#include "vmm/kvm/system.hpp"
#include "vmm/kvm/vcpu.hpp"
#include "vmm/kvm/vm.hpp"

namespace stackrig::host {

/// One vCPU, 512 KiB of RAM, the first 2 MiB identity-mapped by 4 KiB pages; a gate for each vector whose
/// handler is HLT and then IRETQ, so that an event shows as an Hlt exit inside the handler. Ring 3 may touch
/// only user_code and the page of user_stack.
class BareGuest final {
  public:
    static constexpr std::size_t ram_bytes = 512 * 1024;
    static constexpr Gva handlers{0x7000};  ///< handler_bytes per vector
    static constexpr std::uint64_t handler_bytes = 16;
    static constexpr Gva kernel_code{0x10000};    ///< one page
    static constexpr Gva user_code{0x11000};      ///< one page
    static constexpr Gva syscall_entry{0x12000};  ///< LSTAR: mov eax, cs; hlt
    static constexpr Gva compat_entry{0x12800};   ///< CSTAR: hlt
    static constexpr Gva kernel_stack{0x20000};   ///< top; also RSP0
    static constexpr Gva user_stack{0x28000};     ///< top
    static constexpr Gva data{0x30000};           ///< from here to ram_bytes: free
    static constexpr Gva no_memory{0x100000};     ///< mapped, but no RAM behind it
    static constexpr Gpa page_table{0x4000};  ///< the one last-level table: 512 entries for the first 2 MiB
    static constexpr std::uint64_t pte_user = 4;

    static constexpr std::uint16_t kernel_cs = 0x08;
    static constexpr std::uint16_t kernel_ss = 0x10;
    static constexpr std::uint16_t user_cs32 = 0x1b;
    static constexpr std::uint16_t user_ss = 0x23;
    static constexpr std::uint16_t user_cs = 0x2b;
    static constexpr kvm::SlotId ram_slot{0};

    static Result<BareGuest> create(const kvm::System& system);

    /// Back to the state after create(): tables, registers, events, MSRs, debug; code and data stay.
    [[nodiscard]] Result<void> reset();

    /// reset(), `code` to kernel_code, ring 0 there with IF clear.
    [[nodiscard]] Result<void> start_kernel(std::span<const std::uint8_t> code);
    /// reset(), `code` to user_code, ring 3 there; 64-bit, or 32-bit compatibility mode.
    [[nodiscard]] Result<void> start_user(std::span<const std::uint8_t> code, bool compat = false);

    /// The vector whose handler the guest has halted in (RIP just behind its HLT), if it has.
    [[nodiscard]] Result<std::optional<Vector>> halted_in() const;

    kvm::Memory& memory() { return memory_; }
    kvm::Vm& vm() { return vm_; }
    kvm::Vcpu& cpu() { return cpu_; }

  private:
    BareGuest(kvm::Memory memory, kvm::Vm vm, kvm::Vcpu cpu)
        : memory_(std::move(memory)), vm_(std::move(vm)), cpu_(std::move(cpu)) {}
    [[nodiscard]] Result<void> write_tables();

    // In this order: the RAM goes last.
    kvm::Memory memory_;
    kvm::Vm vm_;
    kvm::Vcpu cpu_;
};

}  // namespace stackrig::host
