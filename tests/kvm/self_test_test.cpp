// The self-test of stepper and injector on the host the tests run on: every rule holds, and a guest that behaves as if one did not
// is told.
#include "vmm/host/self_test.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <set>

#include "tests/kvm/fixture.hpp"

namespace stackrig::test {
namespace {

class SelfTestTest : public KvmTest {
  protected:
    /// What is said of `rule` by a self-test of the guest with these bytes at `symbol`.
    static std::string detail_of(const std::string& rule, const char* symbol, const std::vector<std::uint8_t>& code) {
        const x86::Elf whole = must(x86::Elf::load("steps.elf"));
        std::ifstream file("steps.elf", std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        std::vector<std::byte> bytes;
        std::transform(text.begin(), text.end(), std::back_inserter(bytes), [](char c) { return static_cast<std::byte>(c); });
        const auto there = whole.bytes_at(*whole.find(symbol)).first(32);  // found there once
        const auto at = std::search(bytes.begin(), bytes.end(), there.begin(), there.end());
        std::transform(code.begin(), code.end(), at, [](std::uint8_t b) { return std::byte{b}; });
        const x86::Elf other = must(x86::Elf::parse(std::move(bytes), "other.elf"));
        for (const host::ProbeItem& item : must(host::self_test(system(), other))) {
            if (item.name == rule) {
                return item.detail;
            }
        }
        return "(no such rule)";
    }
};

TEST_F(SelfTestTest, EveryRuleHoldsHereAndEachIsNamed) {
    const auto steps = must(x86::Elf::load("steps.elf"));
    std::set<std::string> names;
    for (const host::ProbeItem& item : must(host::self_test(system(), steps))) {
        EXPECT_TRUE(item.ok) << item.name << ": " << item.detail;
        EXPECT_TRUE(item.required) << item.name;
        names.insert(item.name);
    }
    EXPECT_EQ(names, (std::set<std::string>{"rule.step.syscall", "rule.step.sysret", "rule.step.iret", "rule.step.popf", "rule.step.pushf", "rule.step.sti",
                                            "rule.step.mov_ss", "rule.step.int_n", "rule.step.hlt", "rule.step.in_or_out", "rule.step.rep_string",
                                            "rule.step.lidt_or_wrmsr", "rule.step.other", "rule.walk", "rule.clean", "rule.nmi", "rule.irq"}));
}

TEST_F(SelfTestTest, AWalkThatDoesNotArriveIsTold) {
    const std::vector<std::uint8_t> for_ever = {0xeb, 0xfe};  // jmp .
    EXPECT_EQ(detail_of("rule.nmi", "kernel_second_sti_behind", for_ever), "the guest never came to kernel_to_user");
    EXPECT_EQ(detail_of("rule.nmi", "nmi_handler", for_ever), "the handler never ended");
}

TEST_F(SelfTestTest, ATrapFlagThatTheGuestSeesIsTold) {
    EXPECT_EQ(detail_of("rule.clean", "kernel_part", {0xb4, 0x01}), "the guest has seen the trap flag of the stepper") << "mov $1, %ah, for what it finds in RFLAGS";
    EXPECT_EQ(detail_of("rule.clean", "db_handler", {0x0f, 0x1f, 0x80, 0, 0, 0, 0}), "0 #DB came to the guest instead of its own one") << "a NOP, for the count of them";
}

TEST_F(SelfTestTest, AnIretThatEndsElsewhereIsTold) {
    const auto steps = must(x86::Elf::load("steps.elf"));
    const auto at = static_cast<std::uint32_t>(steps.find("kernel_to_user")->value());
    const auto byte = [at](unsigned i) { return static_cast<std::uint8_t>(at >> 8 * i & 0xff); };
    // cmpq $kernel_to_user, (%rsp); jne iretq; incq (%rsp); iretq: it leaves out the one instruction there, which is one byte long
    const std::vector<std::uint8_t> handler = {0x48, 0x81, 0x3c, 0x24, byte(0), byte(1), byte(2), byte(3), 0x75, 0x04, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf};
    EXPECT_EQ(detail_of("rule.nmi", "nmi_handler", handler), fmt::format("kernel_to_user: the handler's IRETQ ended at {}", steps.describe(Gva(at + 1))));
}

}  // namespace
}  // namespace stackrig::test
