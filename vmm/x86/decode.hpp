// One instruction from its bytes: length, text, and the class that decides how to step over it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"

namespace stackrig::x86 {

/// How the CPU decodes: by EFER.LMA, CS.L and CS.D (SDM 3A 3.4.5).
enum class CodeMode { bits16, bits32, bits64 };

/// Instructions that a trap flag does not step over like any other, and why (SDM 3B 17.3.1.4, APM 2 13.1.4).
enum class InstructionClass {
    syscall,     ///< SYSCALL, SYSENTER: RFLAGS changes on the way into the kernel
    sysret,      ///< SYSRET: loads RFLAGS from R11
    iret,        ///< IRET of any size: loads RFLAGS from its frame
    popf,        ///< POPF of any size: loads RFLAGS from the stack
    pushf,       ///< PUSHF of any size: stores RFLAGS, TF included
    sti,         ///< STI: one instruction's shadow for interrupts
    mov_ss,      ///< MOV SS, POP SS: one instruction's shadow for interrupts and debug traps
    int_n,       ///< INT n, INT3, INT1, INTO: goes through the IDT on purpose
    hlt,
    io,          ///< IN, OUT, INS, OUTS: leaves the guest before it is finished
    rep_string,  ///< a repeated string instruction: a boundary after each iteration
    entry_set,   ///< LIDT, WRMSR: may change where the kernel is entered
    other,
};

[[nodiscard]] const char* describe(InstructionClass kind);

inline constexpr std::size_t longest_instruction = 15;  ///< bytes (SDM 2A 2.3.11)

/// The address of a memory operand: base + index * scale + displacement, plus the base of GS. PUSH, POP, CALL and RET name
/// their stack word.
struct MemoryOperand {
    static constexpr int none = -1;
    static constexpr int rip = 16;  ///< of the next instruction
    int base = none;                ///< rax rbx rcx rdx rsi rdi rbp rsp r8..r15 from 0 on
    int index = none;
    int scale = 1;
    std::int64_t displacement = 0;
    bool gs = false;

    /// With the general registers in the order of `base`, RIP behind the instruction, and the base of the GS in use.
    [[nodiscard]] Gva address(const std::array<std::uint64_t, 16>& gpr, Gva behind, Gva gs_base) const;
};

/// What an instruction makes the CPU forget of the translations it caches (SDM 3A 4.10.4.1).
enum class Forgets {
    nothing,
    page,      ///< INVLPG: the one of its memory operand
    root,      ///< MOV to CR3: what is not global
    by_change  ///< MOV to CR4: everything, when PGE changes
};

struct Instruction {
    InstructionClass kind = InstructionClass::other;
    std::uint8_t length = 0;  ///< bytes, 1..15
    /// Bytes per stack word of iret, popf and pushf: 2, 4 or 8; 0 for all others.
    std::uint8_t word_bytes = 0;
    bool branches = false;  ///< may go on elsewhere than behind itself: jumps, calls, returns, ways in and out of the kernel
    std::optional<MemoryOperand> memory;  ///< the first one it reads, writes or names
    Forgets forgets = Forgets::nothing;
    std::string text;       ///< Intel syntax: "mov rax, qword ptr [rdi]"
};

/// Capstone, opened once. Remembers what it decoded, for a stepper comes by the same instructions again and again, and Capstone's
/// tables are large. Not for use by two threads at once.
class Decoder {
  public:
    /// Error: host, when Capstone was built without x86.
    static Result<Decoder> create();

    /// Decodes the first instruction of `bytes`, which lies at `at` (matters for the text of relative jumps).
    /// Error: guest, naming the bytes, when they are none or are cut off.
    [[nodiscard]] Result<Instruction> decode(std::span<const std::byte> bytes, Gva at, CodeMode mode) const;

  private:
    struct Close {
        void operator()(const std::size_t* handle) const;
    };
    using Handle = std::unique_ptr<std::size_t, Close>;
    explicit Decoder(Handle handle) : handle_(std::move(handle)) {}
    [[nodiscard]] Result<Instruction> decode_anew(std::span<const std::byte> bytes, Gva at, CodeMode mode) const;

    struct Known {
        CodeMode mode;
        std::array<std::byte, longest_instruction> bytes;  ///< the first Instruction::length of them
        Instruction instruction;
    };
    Handle handle_;
    mutable std::unordered_map<std::uint64_t, Known> known_;  ///< by address; the last one decoded there
};

}  // namespace stackrig::x86
