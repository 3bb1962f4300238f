// The self-test of stepper and injector on the host the tests run on: every rule holds.
#include "vmm/host/self_test.hpp"

#include <set>

#include "tests/kvm/fixture.hpp"

namespace stackrig::test {
namespace {

using SelfTestTest = KvmTest;

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

}  // namespace
}  // namespace stackrig::test
