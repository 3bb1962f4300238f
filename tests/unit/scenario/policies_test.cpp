// Policies of [guest], and whose scheme a combination of them is.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/unit/scenario/fake_guest.hpp"
#include "vmm/scenario/scenario.hpp"

namespace stackrig::scenario {
namespace {

Checked with(const std::string& guest, const std::string& more = "") {
    static const FakeSymbols symbols;
    return check(fmt::format("schema = 1\nname = \"a\"\nwhy = \"Because.\"\n[guest]\n{}\n[threads.A]\nprogram = [\"spin\"]\n{}\n[run]\n"
                             "schedule = [\"run\"]\n",
                             guest, more),
                 "a.toml", symbols);
}

Reading reading(const std::string& guest) {
    const Checked checked = with(guest);
    EXPECT_TRUE(checked) << guest;
    return checked ? checked->front().reading : Reading::baseline;
}

TEST(Reading, SizesAndKernelConfigurationLeaveTheMailsSchemeWhatItIs) {
    EXPECT_EQ(reading(""), Reading::mail);
    EXPECT_EQ(reading("cache_pages = 0\nfree_pages = 0\nreclaim = \"5K\""), Reading::mail);
    EXPECT_EQ(reading("preempt = \"full\"\nerase = \"after-exit\""), Reading::mail);
}

TEST(Reading, EachChoiceOfTheSchemeIsAnotherReading) {
    EXPECT_EQ(reading("flush = \"map\""), Reading::other) << "the claim of a day later, not of the mail";
    EXPECT_EQ(reading("reserve_pages = 6"), Reading::other) << "the mail has three";
    EXPECT_EQ(reading("cache_cap = 12"), Reading::other) << "the mail's cache has no bound";
    EXPECT_EQ(reading("scheme = \"fixed\""), Reading::baseline);
}

TEST(Reading, TheRepairedSchemeIsTheWholePresetAndNothingLess) {
    EXPECT_EQ(reading("repair = \"proposed\""), Reading::repaired);
    EXPECT_EQ(reading("repair = \"proposed\"\ncache_cap = 0"), Reading::repaired);
    EXPECT_EQ(reading("repair = \"proposed\"\nzero = \"never\""), Reading::other) << "its verdict must not stand for the preset's";
    EXPECT_EQ(reading("repair = \"give-back\""), Reading::other);
}

TEST(Reading, NamesGoThereAndBack) {
    for (const Reading r : {Reading::mail, Reading::other, Reading::repaired, Reading::baseline}) {
        EXPECT_EQ(reading_named(name_of(r)), r);
    }
    EXPECT_FALSE(reading_named("literal"));
}

TEST(Policies, PrioritiesAndTheTlbsFillPolicyAreRead) {
    const Checked checked = with("wait = \"priority\"", "priority = 50\n[check]\nalways = [\"free >= 0\"]\ntlb = \"demand\"");
    ASSERT_TRUE(checked);
    EXPECT_EQ(checked->front().plan.threads[0].priority, 50u);
    EXPECT_EQ(checked->front().tlb, oracle::Fill::demand);
    EXPECT_FALSE(with("", "priority = 100"));
    EXPECT_FALSE(with("", "[check]\ntlb = \"none\""));
}

}  // namespace
}  // namespace stackrig::scenario
