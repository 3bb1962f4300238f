// What each instruction that concerns translations drops, and which do not.
#include <gtest/gtest.h>

#include <vector>

#include "vmm/engine/invalidation.hpp"

namespace stackrig::engine {
namespace {

constexpr std::uint64_t pge = 1u << 7;
constexpr std::uint64_t pae = 1u << 5;

std::optional<Invalidation> of(const std::vector<int>& bytes, CpuState before = {}, std::uint64_t cr4 = 0) {
    std::vector<std::byte> code;
    for (const int byte : bytes) {
        code.push_back(static_cast<std::byte>(byte));
    }
    const auto decoder = x86::Decoder::create();
    const auto instruction = decoder->decode(code, before.rip, x86::CodeMode::bits64);
    EXPECT_TRUE(instruction.has_value());
    return invalidation(*instruction, before, cr4);
}

TEST(Invalidation, InvlpgDropsThePageOfItsOperand) {
    CpuState before;
    before.gpr[5] = 0xffffc90000001000;  // RDI
    const auto dropped = of({0x0f, 0x01, 0x3f}, before);
    ASSERT_TRUE(dropped.has_value());
    EXPECT_EQ(dropped->kind, abi::FlushKind::page);
    EXPECT_EQ(dropped->page, Gva(0xffffc90000001000));
}

TEST(Invalidation, InvlpgOfEveryWayToNameAnAddress) {
    CpuState before;
    before.rip = Gva(0x1000);
    before.gs_base = Gva(0x700000);
    before.gpr[0] = 0x20000;
    before.gpr[1] = 0x300;
    EXPECT_EQ(of({0x0f, 0x01, 0x7c, 0x98, 0x10}, before)->page, Gva(0x20000 + 4 * 0x300 + 0x10));             // [rax + rbx*4 + 0x10]
    EXPECT_EQ(of({0x0f, 0x01, 0x3d, 0x00, 0x02, 0x00, 0x00}, before)->page, Gva(0x1000 + 7 + 0x200));          // [rip + 0x200]
    EXPECT_EQ(of({0x65, 0x0f, 0x01, 0x38}, before)->page, Gva(0x720000));                                      // gs:[rax]
}

TEST(Invalidation, MovToCr3KeepsWhatIsGlobal) {
    const auto dropped = of({0x0f, 0x22, 0xd8});
    ASSERT_TRUE(dropped.has_value());
    EXPECT_EQ(dropped->kind, abi::FlushKind::cr3);
    EXPECT_FALSE(of({0x0f, 0x20, 0xd8})) << "reading CR3";
    EXPECT_FALSE(of({0x0f, 0x22, 0xd0})) << "writing CR2";
}

TEST(Invalidation, MovToCr4DropsEverythingWherePgeChanges) {
    CpuState before;
    before.cr4 = pge | pae;
    const std::vector<int> mov_cr4 = {0x0f, 0x22, 0xe0};
    ASSERT_TRUE(of(mov_cr4, before, pae).has_value());
    EXPECT_EQ(of(mov_cr4, before, pae)->kind, abi::FlushKind::all);
    EXPECT_FALSE(of(mov_cr4, before, pge | pae));
    EXPECT_FALSE(of(mov_cr4, before, pge));
    EXPECT_FALSE(of({0x0f, 0x20, 0xe0}, before, pae)) << "reading CR4";
}

TEST(Invalidation, OtherInstructionsDropNothing) {
    EXPECT_FALSE(of({0x48, 0x8b, 0x07}));  // mov rax, [rdi]
    EXPECT_FALSE(of({0xc3}));
}

}  // namespace
}  // namespace stackrig::engine
