// Disassembly for reports, on the guest as it was built.
#include "vmm/report/code.hpp"

#include <gtest/gtest.h>

#include "tests/unit/report/samples.hpp"

namespace stackrig::report {
namespace {

using explore::CodeLine;

class CodeTest : public ::testing::Test {
  protected:
    void SetUp() override {
        auto loaded = x86::Elf::load(STACKRIG_GUEST_ELF);
        ASSERT_TRUE(loaded) << loaded.error().text;
        elf = std::move(*loaded);
        auto lines = x86::LineTable::load(STACKRIG_GUEST_LINES, elf.build_hash());
        ASSERT_TRUE(lines) << lines.error().text;
        auto made = Code::create(elf, std::move(*lines));
        ASSERT_TRUE(made) << made.error().text;
        code.emplace(std::move(*made));
    }
    std::vector<CodeLine> around(Gva at, std::size_t before, std::size_t after) const {
        return code->around(at, x86::CodeMode::bits64, before, after);
    }
    x86::Elf elf;
    std::optional<Code> code;
};

TEST_F(CodeTest, AWindowAroundABoundaryIsAPieceOfTheWholeFunction) {
    const Gva start = *elf.find("do_syscall_64");
    const std::vector<CodeLine> whole = around(start, 0, 10'000);
    ASSERT_GT(whole.size(), 17u);
    EXPECT_EQ(whole.front().label, "do_syscall_64");
    EXPECT_EQ(whole.front().file, "guest/kernel/traps.cpp");
    EXPECT_NE(whole.front().source.find("do_syscall_64"), std::string::npos);
    EXPECT_EQ(elf.function_at(Gva(whole.back().address))->first, start) << "it ends with the function";
    for (std::size_t i = 0; i < whole.size(); ++i) {
        const std::vector<CodeLine> window = around(Gva(whole[i].address), 8, 8);
        const std::size_t first = i < 8 ? 0 : i - 8;
        ASSERT_EQ(window.size(), std::min(whole.size(), i + 9) - first) << i;
        EXPECT_EQ(window.front().address, whole[first].address) << i;
        EXPECT_EQ(window.back().address, whole[std::min(whole.size(), i + 9) - 1].address) << i;
    }
}

TEST_F(CodeTest, CallsNameTheirTargetAndAssemblyHasItsLines) {
    bool named = false;
    for (const CodeLine& line : around(*elf.find("entry_SYSCALL_64"), 0, 100)) {
        EXPECT_EQ(line.file, "guest_asm/entry_64.S") << line.label;
        named = named || line.text == "call do_syscall_64";
    }
    EXPECT_TRUE(named);
}

TEST_F(CodeTest, ABoundaryInsideAnInstructionIsShownFromThereOn) {
    const std::vector<CodeLine> whole = around(*elf.find("do_syscall_64"), 0, 20);
    std::size_t longer = 0;
    while (whole[longer + 1].address - whole[longer].address < 3) {
        ++longer;
    }
    const Gva inside(whole[longer].address + 1);
    EXPECT_EQ(around(inside, 8, 0).front().address, inside.value()) << "the guest jumped there: that is what runs";
}

TEST_F(CodeTest, WhereThereIsNoCodeThereIsNone) {
    EXPECT_TRUE(around(Gva(0x1234), 8, 8).empty());
    EXPECT_TRUE(around(*elf.find("kernel_state"), 8, 8).empty()) << "zero-filled data is no code";
}

TEST_F(CodeTest, WithoutATableThereAreInstructionsAllTheSame) {
    const auto bare = Code::create(elf, std::nullopt);
    ASSERT_TRUE(bare);
    const auto lines = bare->around(*elf.find("do_syscall_64"), x86::CodeMode::bits64, 0, 3);
    ASSERT_EQ(lines.size(), 4u);
    EXPECT_EQ(lines[0].file, "");
}

TEST_F(CodeTest, TheMemoryOperandIsNamedByThePageItLiesIn) {
    // Find an instruction that pushes: it writes right below RSP.
    Gva at = *elf.find("do_syscall_64");
    const std::vector<CodeLine> whole = around(at, 0, 100);
    const auto push = std::find_if(whole.begin(), whole.end(), [](const CodeLine& l) { return l.text.starts_with("push"); });
    ASSERT_NE(push, whole.end());
    oracle::Moment m = test::moment(1);
    engine::CpuState& regs = m.cpus[1].regs;
    regs.rip = Gva(push->address);
    const auto with_rsp = [&](std::uint64_t rsp) {
        regs.rsp = Gva(rsp);
        regs.gpr[7] = rsp;
        return code->access_of(m);
    };
    EXPECT_EQ(with_rsp(abi::stack_top(2)), "0xffffc90000017ff8: P0 of B's stack, own");
    EXPECT_EQ(with_rsp(abi::stack_page(2, 0)), "0xffffc90000016ff8: P1 of B's stack, not present") << "the word below the page";
    EXPECT_EQ(with_rsp(abi::stack_base(1)), "0xffffc9000000bff8: the guard below A's stack");
    EXPECT_EQ(with_rsp(abi::stack_page(1, 0)), "0xffffc9000000eff8: P1 of A's stack, RESERVE of cpu1");
    EXPECT_EQ(with_rsp(abi::stack_top(40)), "0xffffc90000147ff8: stack slot 40, which nobody owns");
    m.cpu = 7;
    EXPECT_EQ(code->access_of(m), "") << "a CPU that is not there";
}

}  // namespace
}  // namespace stackrig::report
