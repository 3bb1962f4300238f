// Capstone, wrapped.
#include "vmm/x86/decode.hpp"

#include <capstone/capstone.h>
#include <fmt/format.h>

namespace stackrig::x86 {
namespace {

/// MOV SS and POP SS, told by opcode and ModRM.reg (SDM 2B: 8E /r with reg = 2; 17 outside of 64-bit mode), so that no operand
/// detail is needed.
bool loads_ss(const cs_insn& insn) {
    unsigned at = 0;
    while (at < insn.size && (insn.bytes[at] == 0x66 || (insn.bytes[at] & 0xf0) == 0x40)) {
        ++at;  // operand size and REX prefixes
    }
    if (at + 1 < insn.size && insn.bytes[at] == 0x8e) {
        return (insn.bytes[at + 1] >> 3 & 7) == 2;
    }
    return insn.bytes[at] == 0x17;
}

StepClass classify(const cs_insn& insn) {
    switch (insn.id) {
        case X86_INS_SYSCALL: return StepClass::syscall;
        case X86_INS_SYSRET: return StepClass::sysret;
        case X86_INS_PUSHF:
        case X86_INS_PUSHFD:
        case X86_INS_PUSHFQ: return StepClass::pushf;
        case X86_INS_POPF:
        case X86_INS_POPFD:
        case X86_INS_POPFQ: return StepClass::popf;
        case X86_INS_IRET:
        case X86_INS_IRETD:
        case X86_INS_IRETQ: return StepClass::iret;
        case X86_INS_STI: return StepClass::shadowing;
        case X86_INS_INT:
        case X86_INS_INT3:
        case X86_INS_INTO: return StepClass::software_interrupt;
        case X86_INS_HLT: return StepClass::halt;
        case X86_INS_MOV:
        case X86_INS_POP: return loads_ss(insn) ? StepClass::shadowing : StepClass::plain;
        default: return StepClass::plain;
    }
}

}  // namespace

void Decoder::Close::operator()(std::size_t* handle) const {
    cs_close(handle);
    delete handle;
}

Result<Decoder> Decoder::create(bool compatibility_mode) {
    std::unique_ptr<csh, Close> handle;
    auto opened = std::make_unique<csh>();
    if (const cs_err error = cs_open(CS_ARCH_X86, compatibility_mode ? CS_MODE_32 : CS_MODE_64, opened.get()); error != CS_ERR_OK) {
        return fail(ErrorKind::rig, fmt::format("cs_open: {}", cs_strerror(error)));
    }
    handle.reset(opened.release());
    return Decoder(std::move(handle));
}

Result<Instruction> Decoder::decode(std::span<const std::byte> bytes, Gva at) {
    cs_insn* insn = nullptr;
    const auto* code = reinterpret_cast<const std::uint8_t*>(bytes.data());
    if (cs_disasm(*handle_, code, bytes.size(), at.value(), 1, &insn) != 1) {
        return fail(ErrorKind::guest, fmt::format("the bytes at {} are no instruction: {:02x}", at,
                                                  fmt::join(code, code + std::min<std::size_t>(bytes.size(), 8), " ")));
    }
    Instruction out{classify(*insn), insn->size, fmt::format("{} {}", insn->mnemonic, insn->op_str)};
    cs_free(insn, 1);
    return out;
}

}  // namespace stackrig::x86
