// The walker against tables built by hand and against random ones with a second, differently written model.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/unit/x86/ram.hpp"
#include "vmm/x86/paging.hpp"

namespace stackrig::x86 {
namespace {

using Outcome = Walk::Outcome;

constexpr std::uint64_t table = Pte::p | Pte::rw | Pte::us;

class Paging : public testing::Test {
  protected:
    // PML4 at 0x1000, then one table per level at 0x2000, 0x3000, 0x4000; all for address 0x0000_0080_4020_1abc and around.
    void SetUp() override {
        entry(0x1000, 1, 0x2000 | table);
        entry(0x2000, 1, 0x3000 | table);
        entry(0x3000, 1, 0x4000 | table);
        entry(0x4000, 1, 0x7000 | table);
    }
    void entry(std::uint64_t at, unsigned index, std::uint64_t raw) { ram.write(Gpa(at + index * 8), raw); }
    [[nodiscard]] Walk at(std::uint64_t linear) const { return walk(ram, root, Gva(linear)); }

    Ram ram{16};
    Gpa root{0x1000};
    static constexpr std::uint64_t address = (1ull << 39) + (1ull << 30) + (1ull << 21) + (1ull << 12) + 0xabc;
};

TEST_F(Paging, AFourKibPageIsFoundThroughFourEntries) {
    const Walk found = at(address);
    ASSERT_EQ(found.outcome, Outcome::mapped);
    EXPECT_EQ(found.physical, Gpa(0x7abc));
    EXPECT_EQ(found.page_bytes, 4096u);
    ASSERT_EQ(found.depth, 4u);
    EXPECT_EQ(found.steps()[0].at, Gpa(0x1008));
    EXPECT_EQ(found.steps()[3].at, Gpa(0x4008));
    EXPECT_EQ(found.last().raw, 0x7000 | table);
}

TEST_F(Paging, EachLevelCanEndTheWalk) {
    for (unsigned level = 0; level < 4; ++level) {
        SetUp();
        entry(0x1000 * (level + 1), 1, 0xfff'f000 | Pte::rw);  // P=0: the other bits are software's
        const Walk found = at(address);
        EXPECT_EQ(found.outcome, Outcome::not_present) << level;
        EXPECT_EQ(found.depth, level + 1);
        EXPECT_FALSE(found.writable) << "no rights without a page";
    }
}

// Each right is the AND (NX: the OR) over the levels; a walker that looks at the leaf alone passes every simpler test.
TEST_F(Paging, ARightIsLostAtAnyLevel) {
    for (unsigned level = 0; level < 4; ++level) {
        const std::uint64_t holder = 0x1000 * (level + 1);
        const std::uint64_t target = level == 3 ? 0x7000 : 0x1000 * (level + 2);
        SetUp();
        entry(holder, 1, target | (table & ~Pte::rw));
        EXPECT_FALSE(at(address).writable) << level;
        EXPECT_TRUE(at(address).user);
        entry(holder, 1, target | (table & ~Pte::us));
        EXPECT_FALSE(at(address).user) << level;
        EXPECT_TRUE(at(address).writable);
        EXPECT_FALSE(at(address).no_execute);
        entry(holder, 1, target | table | Pte::nx);
        EXPECT_TRUE(at(address).no_execute) << level;
        EXPECT_EQ(at(address).physical, Gpa(0x7abc)) << "NX is no address bit";
    }
}

TEST_F(Paging, LargePagesKeepTheLowAddressBitsAndIgnorePat) {
    entry(0x3000, 1, (5ull << 21) | table | Pte::ps | 1u << 12);
    EXPECT_EQ(at(address).physical, Gpa((5ull << 21) + 0x1abc));
    EXPECT_EQ(at(address).page_bytes, 2u << 20);
    entry(0x2000, 1, (3ull << 30) | table | Pte::ps);
    EXPECT_EQ(at(address).physical, Gpa((3ull << 30) + 0x201abc));
    EXPECT_EQ(at(address).page_bytes, 1u << 30);
    EXPECT_EQ(at(address).depth, 2u);
}

TEST_F(Paging, ReservedBitsAreNoMapping) {
    entry(0x3000, 1, (5ull << 21) | 0x2000 | table | Pte::ps);
    EXPECT_EQ(at(address).outcome, Outcome::reserved) << "a 2 MiB page at an odd address";
    SetUp();
    entry(0x1000, 1, 0x2000 | table | Pte::ps);
    EXPECT_EQ(at(address).outcome, Outcome::reserved) << "PS in the PML4";
    SetUp();
    entry(0x4000, 1, 0x7000 | table | Pte::ps);
    EXPECT_EQ(at(address).outcome, Outcome::mapped) << "there it is PAT";
}

TEST_F(Paging, ATableOutsideRamEndsTheWalkAndAPageOutsideDoesNot) {
    entry(0x2000, 1, 0x10000 | table);
    const Walk found = at(address);
    EXPECT_EQ(found.outcome, Outcome::outside);
    EXPECT_EQ(found.depth, 2u);
    SetUp();
    entry(0x4000, 1, 0x123456000 | table);
    EXPECT_EQ(at(address).physical, Gpa(0x123456abc)) << "that the page is no RAM is for the caller to judge";
    EXPECT_EQ(walk(ram, Gpa(0xfffffffffffff000), Gva(address)).outcome, Outcome::outside);
}

TEST_F(Paging, OnlyCanonicalAddressesAreWalked) {
    EXPECT_TRUE(canonical(Gva(0x00007fffffffffff)));
    EXPECT_FALSE(canonical(Gva(0x0000800000000000)));
    EXPECT_FALSE(canonical(Gva(0xffff7fffffffffff)));
    EXPECT_TRUE(canonical(Gva(0xffff800000000000)));
    EXPECT_EQ(at(0x0000800000000000).outcome, Outcome::not_canonical);
    EXPECT_EQ(at(0x0000800000000000).depth, 0u);
    EXPECT_EQ(at(0xffffffffffffffff).steps()[0].at, Gpa(0x1ff8)) << "the last entry";
}

TEST(Cr3, PcidAndFlagsAreNoAddress) {
    EXPECT_EQ(root_of(0x8000000000005fff), Gpa(0x5000));
}

/// Random tables: few frames, so that tables are shared, point at each other and at nothing.
struct RandomTables {
    explicit RandomTables(std::uint64_t seed) : random(seed) {
        for (std::uint64_t frame = 0; frame < frames; ++frame) {
            for (unsigned index = 0; index < 512; ++index) {
                if (random() % 4 == 0) {
                    ram.write(Gpa(frame * page_size + index * 8), random_entry());
                }
            }
        }
    }
    std::uint64_t random_entry() {
        std::uint64_t raw = (random() % (frames + 1)) << page_shift;
        raw |= random() % 8 != 0 ? Pte::p : 0;
        raw |= random() % 2 != 0 ? Pte::rw : 0;
        raw |= random() % 2 != 0 ? Pte::us : 0;
        raw |= random() % 3 == 0 ? Pte::nx : 0;
        raw |= random() % 6 == 0 ? Pte::ps : 0;
        return raw;
    }
    static constexpr std::uint64_t frames = 12;
    std::mt19937_64 random;
    Ram ram{frames};
};

/// The same question, answered recursively from the manual's words rather than by a loop.
std::optional<std::uint64_t> model(const Ram& ram, std::uint64_t table_at, std::uint64_t address, int level, bool& writable) {
    const auto raw = ram.read_as<std::uint64_t>(Gpa(table_at + ((address >> (3 + 9 * level)) & 0x1ff) * 8));
    if (!raw || (*raw & 1) == 0) {
        return std::nullopt;
    }
    writable = writable && (*raw & 2) != 0;
    const std::uint64_t next = *raw & 0x000ffffffffff000;
    if (level == 1) {
        return next + (address & 0xfff);
    }
    if ((*raw & 0x80) == 0) {
        return model(ram, next, address, level - 1, writable);
    }
    const std::uint64_t size = level == 2 ? 0x200000 : 0x40000000;
    const std::uint64_t frame = next & ~std::uint64_t{0x1000};
    return level == 4 || frame % size != 0 ? std::nullopt : std::optional(frame + address % size);
}

TEST(RandomPaging, TheLoopAgreesWithTheModel) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        RandomTables tables(seed);
        unsigned mapped = 0;
        for (int i = 0; i < 2000; ++i) {
            const std::uint64_t address = static_cast<std::uint64_t>(static_cast<std::int64_t>(tables.random() << 16) >> 16);
            bool writable = true;
            const auto expected = model(tables.ram, 0, address, 4, writable);
            const Walk found = walk(tables.ram, Gpa(0), Gva(address));
            ASSERT_EQ(found.mapped(), expected.has_value()) << seed << " " << std::hex << address;
            if (expected) {
                ++mapped;
                ASSERT_EQ(found.physical, Gpa(*expected)) << seed << " " << std::hex << address;
                ASSERT_EQ(found.writable, writable);
            }
        }
        EXPECT_GT(mapped, 0u) << "a model that never maps anything proves nothing";
    }
}

TEST_F(Paging, ARangeShowsEachPageOnceAndSkipsHoles) {
    entry(0x4000, 2, 0x8000 | table);
    entry(0x4000, 511, 0x9000 | table);
    entry(0x3000, 2, (1ull << 21) | table | Pte::ps);  // right behind the page table
    std::map<std::uint64_t, std::uint64_t> seen;
    const Gva begin(address - 0xabc + 0x800);  // in the middle of a page
    walk_range(ram, root, begin, Gva(1ull << 40), [&seen](Gva page, const Walk& found) {
        EXPECT_TRUE(seen.emplace(page.value(), found.physical.value()).second) << "shown twice";
    });
    const std::uint64_t first = address - 0xabc;
    const std::map<std::uint64_t, std::uint64_t> expected{
        {first, 0x7000}, {first + 0x1000, 0x8000}, {first + 510 * 0x1000, 0x9000}, {first + 511 * 0x1000, 1u << 21}};
    EXPECT_EQ(seen, expected);
    seen.clear();
    walk_range(ram, root, Gva(first), Gva(first + 0x1000), [&seen](Gva page, const Walk&) { seen.emplace(page.value(), 0); });
    EXPECT_EQ(seen.size(), 1u) << "the end is not part of the range";
}

TEST_F(Paging, ARangeUpToTheTopOfTheAddressSpaceEnds) {
    unsigned shown = 0;
    walk_range(ram, root, Gva(0xffff800000000000), Gva(0xffffffffffffffff), [&shown](Gva, const Walk&) { ++shown; });
    EXPECT_EQ(shown, 0u);
}

}  // namespace
}  // namespace stackrig::x86
