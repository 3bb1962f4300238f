// Capstone, and the sorting of what it says.
#include "vmm/x86/decode.hpp"

#include <capstone/capstone.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace stackrig::x86 {
namespace {

static_assert(std::is_same_v<csh, std::size_t>);

constexpr cs_mode capstone_mode(CodeMode mode) {
    switch (mode) {
        case CodeMode::bits16: return CS_MODE_16;
        case CodeMode::bits32: return CS_MODE_32;
        case CodeMode::bits64: return CS_MODE_64;
    }
    return CS_MODE_64;
}

bool loads_ss(const cs_insn& insn) {
    const cs_x86& x86 = insn.detail->x86;
    return (insn.id == X86_INS_MOV || insn.id == X86_INS_POP) && x86.op_count > 0 && x86.operands[0].type == X86_OP_REG &&
           x86.operands[0].reg == X86_REG_SS;
}

/// MOVS, CMPS, STOS, LODS, SCAS (SDM 1 7.3.9.1); their mnemonics alone would also name SSE instructions.
bool repeated_string(const cs_insn& insn) {
    const cs_x86& x86 = insn.detail->x86;
    const std::uint8_t opcode = x86.opcode[0];
    const bool string = (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf);
    return string && (x86.prefix[0] == X86_PREFIX_REP || x86.prefix[0] == X86_PREFIX_REPNE);
}

bool branches(csh handle, const cs_insn& insn) {
    constexpr cs_group_type groups[] = {CS_GRP_JUMP, CS_GRP_CALL, CS_GRP_RET, CS_GRP_INT, CS_GRP_IRET, CS_GRP_BRANCH_RELATIVE};
    return insn.id == X86_INS_SYSENTER || insn.id == X86_INS_SYSEXIT || insn.id == X86_INS_SYSRET ||
           std::any_of(std::begin(groups), std::end(groups), [&](cs_group_type group) { return cs_insn_group(handle, &insn, group); });
}

/// By 64-bit name, in the order of MemoryOperand::base.
int register_number(x86_reg reg) {
    constexpr x86_reg order[] = {X86_REG_RAX, X86_REG_RBX, X86_REG_RCX, X86_REG_RDX, X86_REG_RSI, X86_REG_RDI, X86_REG_RBP, X86_REG_RSP,
                                 X86_REG_R8,  X86_REG_R9,  X86_REG_R10, X86_REG_R11, X86_REG_R12, X86_REG_R13, X86_REG_R14, X86_REG_R15,
                                 X86_REG_RIP};
    const auto found = std::find(std::begin(order), std::end(order), reg);
    return found == std::end(order) ? MemoryOperand::none : static_cast<int>(found - std::begin(order));
}

std::optional<MemoryOperand> stack_word(const cs_insn& insn) {
    const int rsp = register_number(X86_REG_RSP);
    switch (insn.id) {
        case X86_INS_PUSH:
        case X86_INS_PUSHFQ:
        case X86_INS_CALL: return MemoryOperand{.base = rsp, .displacement = -8};
        case X86_INS_POP:
        case X86_INS_POPFQ:
        case X86_INS_RET:
        case X86_INS_IRETQ: return MemoryOperand{.base = rsp};
        default: return std::nullopt;
    }
}

std::optional<MemoryOperand> memory_operand(const cs_insn& insn) {
    const cs_x86& x86 = insn.detail->x86;
    const bool names_only = insn.id == X86_INS_LEA || insn.id == X86_INS_NOP;  // an address, not an access
    for (std::uint8_t i = 0; !names_only && i < x86.op_count; ++i) {
        const cs_x86_op& op = x86.operands[i];
        if (op.type == X86_OP_MEM) {
            return MemoryOperand{.base = register_number(op.mem.base), .index = register_number(op.mem.index), .scale = op.mem.scale,
                                 .displacement = op.mem.disp, .gs = op.mem.segment == X86_REG_GS};
        }
    }
    return stack_word(insn);
}

Forgets what_it_forgets(const cs_insn& insn) {
    const cs_x86& x86 = insn.detail->x86;
    const bool loads = insn.id == X86_INS_MOV && x86.op_count > 0 && x86.operands[0].type == X86_OP_REG;
    return insn.id == X86_INS_INVLPG                      ? Forgets::page
           : loads && x86.operands[0].reg == X86_REG_CR3 ? Forgets::root
           : loads && x86.operands[0].reg == X86_REG_CR4 ? Forgets::by_change
                                                          : Forgets::nothing;
}

struct Sorted {
    InstructionClass kind = InstructionClass::other;
    std::uint8_t word_bytes = 0;
};

Sorted sort(const cs_insn& insn) {
    using enum InstructionClass;
    switch (insn.id) {
        case X86_INS_SYSCALL:
        case X86_INS_SYSENTER: return {syscall};
        case X86_INS_SYSRET: return {sysret};
        case X86_INS_IRET: return {iret, 2};
        case X86_INS_IRETD: return {iret, 4};
        case X86_INS_IRETQ: return {iret, 8};
        case X86_INS_POPF: return {popf, 2};
        case X86_INS_POPFD: return {popf, 4};
        case X86_INS_POPFQ: return {popf, 8};
        case X86_INS_PUSHF: return {pushf, 2};
        case X86_INS_PUSHFD: return {pushf, 4};
        case X86_INS_PUSHFQ: return {pushf, 8};
        case X86_INS_STI: return {sti};
        case X86_INS_INT:
        case X86_INS_INT1:
        case X86_INS_INT3:
        case X86_INS_INTO: return {int_n};
        case X86_INS_HLT: return {hlt};
        case X86_INS_IN:
        case X86_INS_OUT:
        case X86_INS_INSB:
        case X86_INS_INSW:
        case X86_INS_INSD:
        case X86_INS_OUTSB:
        case X86_INS_OUTSW:
        case X86_INS_OUTSD: return {io};
        case X86_INS_LIDT:
        case X86_INS_WRMSR: return {entry_set};
        default: break;
    }
    return {loads_ss(insn) ? mov_ss : repeated_string(insn) ? rep_string : other};
}

}  // namespace

Gva MemoryOperand::address(const std::array<std::uint64_t, 16>& gpr, Gva behind, Gva gs_base) const {
    const auto value = [&](int number) -> std::uint64_t {
        return number == none ? 0 : number == rip ? behind.value() : gpr[static_cast<std::size_t>(number)];
    };
    return Gva(value(base) + value(index) * static_cast<std::uint64_t>(scale) + static_cast<std::uint64_t>(displacement) +
               (gs ? gs_base.value() : 0));
}

const char* describe(InstructionClass kind) {
    switch (kind) {
        case InstructionClass::syscall: return "SYSCALL";
        case InstructionClass::sysret: return "SYSRET";
        case InstructionClass::iret: return "IRET";
        case InstructionClass::popf: return "POPF";
        case InstructionClass::pushf: return "PUSHF";
        case InstructionClass::sti: return "STI";
        case InstructionClass::mov_ss: return "MOV SS";
        case InstructionClass::int_n: return "INT n";
        case InstructionClass::hlt: return "HLT";
        case InstructionClass::io: return "IN or OUT";
        case InstructionClass::rep_string: return "REP string";
        case InstructionClass::entry_set: return "LIDT or WRMSR";
        case InstructionClass::other: return "other";
    }
    return "?";
}

void Decoder::Close::operator()(const std::size_t* handle) const {
    csh copy = *handle;
    cs_close(&copy);
    delete handle;
}

Result<Decoder> Decoder::create() {
    csh handle = 0;
    if (const cs_err error = cs_open(CS_ARCH_X86, CS_MODE_64, &handle); error != CS_ERR_OK) {
        return fail(ErrorKind::host, fmt::format("Capstone does not start: {}. Install libcapstone4.", cs_strerror(error)));
    }
    cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
    return Decoder(Handle(new csh(handle)));
}

Result<Instruction> Decoder::decode(std::span<const std::byte> bytes, Gva at, CodeMode mode) const {
    const auto found = known_.find(at.value());
    if (found != known_.end() && found->second.mode == mode && found->second.instruction.length <= bytes.size() &&
        std::equal(bytes.begin(), bytes.begin() + found->second.instruction.length, found->second.bytes.begin())) {
        return found->second.instruction;
    }
    STACKRIG_TRY_ASSIGN(Instruction instruction, decode_anew(bytes, at, mode));
    Known& known = known_[at.value()] = {.mode = mode, .bytes = {}, .instruction = instruction};
    std::copy_n(bytes.begin(), instruction.length, known.bytes.begin());
    return instruction;
}

Result<Instruction> Decoder::decode_anew(std::span<const std::byte> bytes, Gva at, CodeMode mode) const {
    cs_option(*handle_, CS_OPT_MODE, capstone_mode(mode));
    cs_insn* found = nullptr;
    const auto* code = reinterpret_cast<const std::uint8_t*>(bytes.data());
    const std::size_t count = cs_disasm(*handle_, code, bytes.size(), at.value(), 1, &found);
    const std::unique_ptr<cs_insn, decltype([](cs_insn* insn) { cs_free(insn, 1); })> insn(found);
    if (count != 1) {
        const std::size_t shown = std::min(bytes.size(), longest_instruction);
        return fail(ErrorKind::guest, fmt::format("no instruction at {}: {:02x}", at,
                                                  fmt::join(code, code + shown, " ")));
    }
    const Sorted sorted = sort(*insn);
    const std::string_view operands = insn->op_str;
    return Instruction{.kind = sorted.kind,
                       .length = static_cast<std::uint8_t>(insn->size),
                       .word_bytes = sorted.word_bytes,
                       .branches = branches(*handle_, *insn),
                       .memory = memory_operand(*insn),
                       .forgets = what_it_forgets(*insn),
                       .text = fmt::format("{}{}{}", insn->mnemonic, operands.empty() ? "" : " ", operands)};
}

}  // namespace stackrig::x86
