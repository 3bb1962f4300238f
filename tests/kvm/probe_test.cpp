// The host probe itself: safe on every KVM that opens, also on one that is not good enough.
#include <set>

#include "tests/kvm/fixture.hpp"

namespace stackrig::test {
namespace {

using host::ProbeReport;

class ProbeTest : public testing::Test {
  protected:
    void SetUp() override {
        auto system = kvm::System::open();
        if (!system) {
            STACKRIG_SKIP_WITHOUT_KVM(system.error().text);
        }
        report_ = must(host::probe(*system));
        again_ = must(host::probe(*system));
    }
    ProbeReport report_;
    ProbeReport again_;
};

TEST_F(ProbeTest, EachItemIsNamedOnceAndSaysWhatWasSeen) {
    std::set<std::string> names;
    for (const auto& item : report_.items) {
        EXPECT_TRUE(names.insert(item.name).second) << item.name;
        EXPECT_FALSE(item.detail.empty()) << item.name;
    }
}

// A probe that leaves state behind, in the VM or in the kernel, would judge the second time differently.
TEST_F(ProbeTest, ItComesToTheSameVerdictsTwice) {
    ASSERT_EQ(report_.items.size(), again_.items.size());
    for (std::size_t i = 0; i < report_.items.size(); ++i) {
        EXPECT_EQ(report_.items[i].ok, again_.items[i].ok)
            << report_.items[i].name << ": " << report_.items[i].detail << " / " << again_.items[i].detail;
    }
}

TEST_F(ProbeTest, ASoftwareKvmFailsAllFiveAndAnyOtherPassesThem) {
    for (const char* name : {"int3.kernel", "syscall.64", "step.iretq", "inject.nmi", "inject.irq"}) {
        EXPECT_EQ(report_.has(name), report_.sufficient) << name << "; failed: " << report_.why_not();
    }
    EXPECT_EQ(report_.why_not().empty(), report_.sufficient);
}

}  // namespace
}  // namespace stackrig::test
