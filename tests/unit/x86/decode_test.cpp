// Classes, lengths and texts from bytes, in each mode.
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "vmm/x86/decode.hpp"

namespace stackrig::x86 {
namespace {

using enum InstructionClass;
using enum CodeMode;

class Decode : public testing::Test {
  protected:
    static Result<Instruction> decode(const std::vector<int>& bytes, CodeMode mode = bits64, Gva at = Gva(0x1000)) {
        static const Decoder decoder = std::move(*Decoder::create());
        std::vector<std::byte> code;
        for (const int byte : bytes) {
            code.push_back(static_cast<std::byte>(byte));
        }
        return decoder.decode(code, at, mode);
    }
    static std::string summary(const std::vector<int>& bytes, CodeMode mode = bits64) {
        const auto found = decode(bytes, mode);
        return found ? std::string(describe(found->kind)) + " " + std::to_string(found->length) : found.error().text;
    }
};

struct Case {
    std::vector<int> bytes;
    CodeMode mode;
    InstructionClass kind;
    unsigned length;
    unsigned word_bytes;
};

// One row per way an assembler can write the instructions that need care. A row that came out as `other` would be stepped with
// a plain trap flag, and the stepper would lose a boundary or leave TF in the guest.
const Case cases[] = {
    {{0x0f, 0x05}, bits64, syscall, 2, 0},
    {{0x0f, 0x05}, bits32, syscall, 2, 0},
    {{0x0f, 0x34}, bits32, syscall, 2, 0},              // sysenter
    {{0x48, 0x0f, 0x07}, bits64, sysret, 3, 0},         // sysretq
    {{0x0f, 0x07}, bits64, sysret, 2, 0},               // sysretd
    {{0x48, 0x0f, 0x35}, bits64, other, 3, 0},          // sysexitq leaves RFLAGS alone
    {{0x48, 0xcf}, bits64, iret, 2, 8},
    {{0xcf}, bits64, iret, 1, 4},
    {{0xcf}, bits32, iret, 1, 4},
    {{0x66, 0xcf}, bits32, iret, 2, 2},
    {{0x9d}, bits64, popf, 1, 8},
    {{0x66, 0x9d}, bits64, popf, 2, 2},
    {{0x9d}, bits32, popf, 1, 4},
    {{0x9c}, bits64, pushf, 1, 8},
    {{0x66, 0x9c}, bits64, pushf, 2, 2},
    {{0x9c}, bits32, pushf, 1, 4},
    {{0xfb}, bits64, sti, 1, 0},
    {{0x8e, 0xd0}, bits64, mov_ss, 2, 0},               // mov ss, eax
    {{0x41, 0x8e, 0xd0}, bits64, mov_ss, 3, 0},         // mov ss, r8d
    {{0x8e, 0x10}, bits64, mov_ss, 2, 0},               // mov ss, [rax]
    {{0x17}, bits32, mov_ss, 1, 0},                     // pop ss
    {{0x8e, 0xd8}, bits64, other, 2, 0},                // mov ds, eax
    {{0x8c, 0xd0}, bits64, other, 2, 0},                // mov eax, ss
    {{0xcd, 0x80}, bits64, int_n, 2, 0},
    {{0xcc}, bits64, int_n, 1, 0},
    {{0xf1}, bits64, int_n, 1, 0},
    {{0xce}, bits32, int_n, 1, 0},                      // into
    {{0xf4}, bits64, hlt, 1, 0},
    {{0xe6, 0x80}, bits64, io, 2, 0},
    {{0xee}, bits64, io, 1, 0},
    {{0xef}, bits64, io, 1, 0},
    {{0x66, 0xef}, bits64, io, 2, 0},
    {{0xe4, 0x80}, bits64, io, 2, 0},
    {{0xed}, bits64, io, 1, 0},
    {{0x6e}, bits64, io, 1, 0},
    {{0xf3, 0x6e}, bits64, io, 2, 0},                   // rep outsb: I/O before string
    {{0xf3, 0x6d}, bits64, io, 2, 0},
    {{0xf3, 0xaa}, bits64, rep_string, 2, 0},
    {{0xf3, 0x48, 0xab}, bits64, rep_string, 3, 0},
    {{0xf3, 0xa5}, bits64, rep_string, 2, 0},
    {{0xf2, 0xae}, bits64, rep_string, 2, 0},           // repne scasb
    {{0xf3, 0xa7}, bits64, rep_string, 2, 0},           // repe cmpsd
    {{0xaa}, bits64, other, 1, 0},                      // stosb alone
    {{0xf2, 0x0f, 0x10, 0x00}, bits64, other, 4, 0},    // movsd xmm0, [rax]: no string
    {{0xf3, 0x90}, bits64, other, 2, 0},                // pause
    {{0x0f, 0x30}, bits64, entry_set, 2, 0},
    {{0x0f, 0x01, 0x18}, bits64, entry_set, 3, 0},      // lidt [rax]
    {{0x0f, 0x01, 0x10}, bits64, other, 3, 0},          // lgdt [rax]
    {{0x0f, 0x01, 0xf8}, bits64, other, 3, 0},          // swapgs
    {{0xfa}, bits64, other, 1, 0},
    {{0x0f, 0x0b}, bits64, other, 2, 0},
    {{0x90}, bits64, other, 1, 0},
    {{0x48, 0x89, 0xe5}, bits64, other, 3, 0},
    {{0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, bits64, other, 10, 0},
};

TEST_F(Decode, EveryInstructionThatNeedsCareIsRecognised) {
    for (const Case& c : cases) {
        const auto found = decode(c.bytes, c.mode);
        ASSERT_TRUE(found) << found.error().text;
        EXPECT_EQ(found->kind, c.kind) << found->text << " came out as " << describe(found->kind);
        EXPECT_EQ(found->length, c.length) << found->text;
        EXPECT_EQ(found->word_bytes, c.word_bytes) << found->text;
    }
}

// As the line that names a step that went wrong has them.
TEST_F(Decode, EachClassHasAName) {
    EXPECT_EQ(summary({0xee}), "IN or OUT 1");
    EXPECT_EQ(summary({0x0f, 0x30}), "LIDT or WRMSR 2");
    EXPECT_EQ(summary({0x0f, 0x05}), "SYSCALL 2");
    EXPECT_EQ(summary({0x8e, 0xd0}), "MOV SS 2");
    EXPECT_EQ(summary({0xf3, 0xaa}), "REP string 2");
}

TEST_F(Decode, TheModeDecidesTheLength) {
    EXPECT_EQ(summary({0xb8, 1, 2, 3, 4}, bits32), "other 5");
    EXPECT_EQ(summary({0xb8, 1, 2, 3, 4}, bits16), "other 3");
    EXPECT_EQ(summary({0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, bits64), "other 10");
    EXPECT_EQ(summary({0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, bits32), "other 1") << "0x48 is DEC EAX there";
}

TEST_F(Decode, TheTextNamesTargetsByTheirAddress) {
    EXPECT_EQ(decode({0xeb, 0x10}, bits64, Gva(0xffffffff80001000))->text, "jmp 0xffffffff80001012");
    EXPECT_EQ(decode({0x48, 0xcf})->text, "iretq");
    EXPECT_EQ(decode({0x48, 0x8b, 0x07})->text, "mov rax, qword ptr [rdi]");
}

// A stepper that takes a branch for straight code reports skipped boundaries where there are none, and the other way round.
TEST_F(Decode, WhatMayGoOnElsewhereIsKnown) {
    const std::vector<std::vector<int>> branching = {
        {0xeb, 0x00}, {0xe9, 0, 0, 0, 0}, {0x74, 0x00}, {0x0f, 0x84, 0, 0, 0, 0}, {0xff, 0xe0}, {0xff, 0x20}, {0xe8, 0, 0, 0, 0},
        {0xff, 0xd0}, {0xff, 0x28}, {0xc3}, {0xc2, 8, 0}, {0xcb}, {0x48, 0xcb}, {0xe2, 0x00}, {0xe1, 0x00}, {0xe3, 0x00}, {0xcd, 0x80}, {0xcc},
        {0xf1}, {0x48, 0xcf}, {0x0f, 0x05}, {0x48, 0x0f, 0x07}, {0x0f, 0x34}, {0x48, 0x0f, 0x35}};
    for (const auto& bytes : branching) {
        const auto found = decode(bytes);
        ASSERT_TRUE(found) << found.error().text;
        EXPECT_TRUE(found->branches) << found->text;
    }
    const std::vector<std::vector<int>> straight = {{0x90}, {0xfb}, {0x9c}, {0x9d}, {0xf4}, {0xee}, {0xf3, 0xaa}, {0x50}, {0x0f, 0x01, 0xf8},
                                                    {0x0f, 0x22, 0xd8}, {0x0f, 0x30}, {0x0f, 0xa2}, {0x48, 0x0f, 0x44, 0xc1}, {0x8e, 0xd0}};
    for (const auto& bytes : straight) {
        const auto found = decode(bytes);
        ASSERT_TRUE(found) << found.error().text;
        EXPECT_FALSE(found->branches) << found->text;
    }
}

TEST_F(Decode, TheMemoryOperandIsAnAccessNotJustAnAddress) {
    const auto memory = [](const std::vector<int>& code) { return decode(code)->memory; };
    const auto mov = memory({0x65, 0x48, 0x8b, 0x84, 0xd8, 0x78, 0x56, 0x34, 0x12});  // mov rax, gs:[rax + rbx*8 + 0x12345678]
    ASSERT_TRUE(mov);
    EXPECT_EQ(mov->base, 0);
    EXPECT_EQ(mov->index, 1);
    EXPECT_EQ(mov->scale, 8);
    EXPECT_EQ(mov->displacement, 0x12345678);
    EXPECT_TRUE(mov->gs);
    EXPECT_EQ(memory({0x48, 0x8b, 0x05, 0, 0, 0, 0})->base, MemoryOperand::rip);
    EXPECT_EQ(memory({0x41, 0x57})->displacement, -8) << "push r15 writes below RSP";
    EXPECT_EQ(memory({0xc3})->base, 7) << "ret reads at RSP";
    EXPECT_FALSE(memory({0x48, 0x8d, 0x04, 0x24})) << "lea touches nothing";
    EXPECT_FALSE(memory({0x0f, 0x1f, 0x40, 0x00})) << "nop touches nothing";
    EXPECT_FALSE(memory({0x48, 0x89, 0xc3}));
}

TEST_F(Decode, WhatFollowsDoesNotMatter) {
    const auto found = decode({0x90, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->length, 1u);
}

TEST_F(Decode, CutOffEmptyAndImpossibleBytesAreErrorsThatShowThem) {
    EXPECT_EQ(summary({0x48, 0xb8, 1, 2}), "no instruction at 0x1000: 48 b8 01 02");
    EXPECT_EQ(summary({}), "no instruction at 0x1000: ");
    EXPECT_EQ(decode({0x06}).error().kind, ErrorKind::guest) << "PUSH ES does not exist in 64-bit mode";
}

}  // namespace
}  // namespace stackrig::x86
