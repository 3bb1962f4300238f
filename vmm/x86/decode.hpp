// One instruction as the stepper needs to know it, by Capstone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"

namespace stackrig::x86 {

/// What TF stepping has to know about an instruction (SDM 17.3.1.4 and the shadows of 6.8.3).
enum class StepClass {
    plain,
    syscall,      ///< RFLAGS is masked by FMASK: TF would be lost
    sysret,       ///< RFLAGS comes from R11
    pushf,        ///< TF would be seen on the stack
    popf,         ///< may load a TF of the guest's own
    iret,         ///< likewise
    shadowing,    ///< STI, MOV SS, POP SS: no trap at the next boundary
    software_interrupt,  ///< INT n, INT3, INTO
    halt,
};

struct Instruction {
    StepClass step = StepClass::plain;
    unsigned length = 0;  ///< bytes, 1..15
    std::string text;     ///< "mov rdi, rsp"
};

/// A disassembler for 64-bit (or compatibility-mode) code. Not for use by two threads at once.
class Decoder {
  public:
    static Result<Decoder> create(bool compatibility_mode);
    /// Error (guest): the bytes are no instruction; the text shows them.
    [[nodiscard]] Result<Instruction> decode(std::span<const std::byte> bytes, Gva at);

  private:
    struct Close {
        void operator()(std::size_t* handle) const;
    };
    explicit Decoder(std::unique_ptr<std::size_t, Close> handle) : handle_(std::move(handle)) {}
    std::unique_ptr<std::size_t, Close> handle_;
};

}  // namespace stackrig::x86
