// ProbeReport: what it says about items, without running any.
#include <gtest/gtest.h>

#include "vmm/host/probe.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::host {
namespace {

const ProbeReport report{.items = {{"step.iretq", true, false, "HLT at 0x1"},
                                   {"inject.irq", true, true, "seen"},
                                   {"inject.nmi", true, false, "none came"},
                                   {"smep", false, false, "no #PF"}},
                         .sufficient = false};

TEST(ProbeReport, HasOnlyWhatIsThereAndOk) {
    EXPECT_TRUE(report.has("inject.irq"));
    EXPECT_FALSE(report.has("step.iretq")) << "tried and failed";
    EXPECT_FALSE(report.has("irq")) << "never tried";
}

TEST(ProbeReport, WhyNotNamesTheRequiredItemsThatFailed) {
    EXPECT_EQ(report.why_not(), "step.iretq (HLT at 0x1), inject.nmi (none came)");
    EXPECT_EQ(ProbeReport{}.why_not(), "");
}

TEST(ProbeReport, ScenariosMayRequireWhatIsTried) {
    const std::vector<std::string> words(std::begin(scenario::host_capabilities), std::end(scenario::host_capabilities));
    EXPECT_EQ(words, probe_names());
}

}  // namespace
}  // namespace stackrig::host
