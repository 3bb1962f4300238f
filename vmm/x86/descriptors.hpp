// Numbers the architecture defines: control bits, selectors, MSRs, exception vectors, gates and the TSS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "vmm/base/types.hpp"

namespace stackrig::x86 {

/// RFLAGS (SDM 1 3.4.3).
namespace rflags {
inline constexpr std::uint64_t always_one = 1u << 1;
inline constexpr std::uint64_t tf = 1u << 8;
inline constexpr std::uint64_t interrupt = 1u << 9;  ///< IF, a keyword in lower case
inline constexpr std::uint64_t df = 1u << 10;
inline constexpr std::uint64_t iopl = 3u << 12;
inline constexpr std::uint64_t nt = 1u << 14;
inline constexpr std::uint64_t rf = 1u << 16;
inline constexpr std::uint64_t ac = 1u << 18;
}  // namespace rflags

/// CR0 (SDM 3A 2.5).
namespace cr0 {
inline constexpr std::uint64_t pe = 1u << 0;
inline constexpr std::uint64_t et = 1u << 4;
inline constexpr std::uint64_t wp = 1u << 16;
inline constexpr std::uint64_t pg = 1u << 31;
}  // namespace cr0

/// CR4 (SDM 3A 2.5).
namespace cr4 {
inline constexpr std::uint64_t pge = 1u << 7;
}  // namespace cr4

/// IA32_EFER (SDM 3A 2.2.1).
namespace efer {
inline constexpr std::uint64_t sce = 1u << 0;
inline constexpr std::uint64_t lme = 1u << 8;
inline constexpr std::uint64_t lma = 1u << 10;
inline constexpr std::uint64_t nxe = 1u << 11;
}  // namespace efer

/// DR6 (SDM 3B 17.2.3).
namespace dr6 {
inline constexpr std::uint64_t bs = 1u << 14;  ///< single step
}  // namespace dr6

/// Model specific registers (SDM 4).
namespace msr {
inline constexpr std::uint32_t sysenter_cs = 0x174;
inline constexpr std::uint32_t sysenter_esp = 0x175;
inline constexpr std::uint32_t sysenter_eip = 0x176;
inline constexpr std::uint32_t mcg_status = 0x17a;
inline constexpr std::uint32_t pat = 0x277;
inline constexpr std::uint32_t mc0_ctl = 0x400;
inline constexpr std::uint32_t mc0_status = 0x401;
inline constexpr std::uint32_t mc0_addr = 0x402;
inline constexpr std::uint32_t mc0_misc = 0x403;
inline constexpr std::uint32_t star = 0xc0000081;
inline constexpr std::uint32_t lstar = 0xc0000082;
inline constexpr std::uint32_t cstar = 0xc0000083;  ///< SYSCALL from compatibility mode, AMD only
inline constexpr std::uint32_t fmask = 0xc0000084;
inline constexpr std::uint32_t fs_base = 0xc0000100;
inline constexpr std::uint32_t gs_base = 0xc0000101;
inline constexpr std::uint32_t kernel_gs_base = 0xc0000102;
}  // namespace msr

/// Machine-check status words (SDM 3B 16.3.1.2, 16.3.2.2).
namespace mca {
inline constexpr std::uint64_t status_val = 1ull << 63;
inline constexpr std::uint64_t status_uc = 1ull << 61;
inline constexpr std::uint64_t status_en = 1ull << 60;
inline constexpr std::uint64_t mcg_ripv = 1u << 0;
inline constexpr std::uint64_t mcg_mcip = 1u << 2;
}  // namespace mca

/// Requested privilege level of a selector; of CS and SS, the CPL.
[[nodiscard]] constexpr unsigned privilege(std::uint16_t selector) { return selector & 3u; }

/// Exceptions by their vectors (SDM 3A table 6-1).
namespace vectors {
inline constexpr Vector de{0};
inline constexpr Vector db{1};
inline constexpr Vector nmi{2};
inline constexpr Vector bp{3};
inline constexpr Vector of{4};
inline constexpr Vector ud{6};
inline constexpr Vector df{8};
inline constexpr Vector gp{13};
inline constexpr Vector pf{14};
inline constexpr Vector mc{18};
}  // namespace vectors

/// "#PF", "NMI", ...; nothing for vectors the architecture does not name.
[[nodiscard]] std::optional<std::string_view> exception_name(Vector vector);

/// Whether the CPU pushes an error code below RIP when it raises this exception (SDM 3A table 6-1; APM 2 table 8-1 for #VC and
/// #SX). INT n with the same vector pushes none.
[[nodiscard]] constexpr bool pushes_error_code(Vector vector) {
    constexpr std::uint32_t pushing = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17 | 1u << 21 |
                                      1u << 29 | 1u << 30;
    return vector.value() < 32 && (pushing >> vector.value() & 1) != 0;
}

/// One IDT entry in long mode (SDM 3A figure 6-8).
struct Gate {
    std::uint16_t offset_low;   // 0
    std::uint16_t selector;     // 2
    std::uint8_t ist;           // 4; bits 0..2
    std::uint8_t type;          // 5; P, DPL, 0, type: 0x8e interrupt gate, 0x8f trap gate
    std::uint16_t offset_mid;   // 6
    std::uint32_t offset_high;  // 8
    std::uint32_t reserved;     // 12

    [[nodiscard]] constexpr bool present() const { return (type & 0x80) != 0; }
    [[nodiscard]] constexpr unsigned dpl() const { return type >> 5 & 3u; }
    /// An interrupt gate, which clears IF; a trap gate leaves it.
    [[nodiscard]] constexpr bool masks_interrupts() const { return (type & 0xf) == 0xe; }
    [[nodiscard]] constexpr Gva handler() const {
        return Gva(offset_low | std::uint64_t{offset_mid} << 16 | std::uint64_t{offset_high} << 32);
    }
};
static_assert(sizeof(Gate) == 16 && offsetof(Gate, ist) == 4 && offsetof(Gate, type) == 5 && offsetof(Gate, offset_high) == 8);

/// The task state segment in long mode (SDM 3A figure 7-11).
struct [[gnu::packed]] Tss {
    std::uint32_t reserved0;  // 0
    std::uint64_t rsp[3];     // 4
    std::uint64_t reserved1;  // 28
    std::uint64_t ist[7];     // 36; ist[0] is IST1
    std::uint64_t reserved2;  // 92
    std::uint16_t reserved3;  // 100
    std::uint16_t io_bitmap;  // 102
};
static_assert(sizeof(Tss) == 104 && offsetof(Tss, rsp) == 4 && offsetof(Tss, ist) == 36 && offsetof(Tss, io_bitmap) == 102);

}  // namespace stackrig::x86
