// Evaluation of predicates: C's precedences, short circuits, truth as 0 and 1.
#include "vmm/scenario/predicate.hpp"

#include <gtest/gtest.h>

#include "tests/unit/scenario/fake_guest.hpp"
#include "vmm/scenario/sentence.hpp"

namespace stackrig::scenario {
namespace {

Predicate parsed(const std::string& text) {
    const FakeGuest guest;
    const SourceText source("p", text);
    Reporter reporter(source);
    const auto found = read_predicate(plain_piece(text), guest.names, reporter);
    EXPECT_TRUE(found) << render(reporter.take());
    return found ? found->predicate : Predicate{};
}

/// free is 3, leaked is 0, mapped(B) is 4, everything else 1.
std::int64_t facts(const Fact& fact) {
    switch (fact.kind) {
        case Fact::Kind::free:
            return 3;
        case Fact::Kind::leaked:
            return 0;
        case Fact::Kind::mapped:
            return fact.thread == 1 ? 4 : 1;
        default:
            return 1;
    }
}

TEST(Predicate, ComparisonsAndConnectives) {
    const std::pair<const char*, std::int64_t> cases[] = {
        {"free", 3},
        {"free == 3", 1},
        {"free != 3", 0},
        {"free < 3", 0},
        {"free <= 3", 1},
        {"free > 2", 1},
        {"free >= 4", 0},
        {"!free", 0},
        {"!leaked", 1},
        {"!!free", 1},
        {"mapped(B) == 4 && mapped(A) == 1", 1},
        {"leaked || free == 2 || free == 3", 1},
        {"free == 3 || leaked && leaked", 1},  // && binds tighter
        {"(free == 3 || leaked) && leaked", 0},
        {"!leaked == 1", 1},  // ! binds tighter than ==
        {"!(leaked == 0)", 0},
        {"free == 0x3", 1},
        {"!(free == 3 && mapped(A) == 4)", 1},
        {"(free > 1) == (leaked < 1)", 1},
    };
    for (const auto& [text, value] : cases) {
        EXPECT_EQ(evaluate(parsed(text), facts), value) << text;
    }
}

TEST(Predicate, StopsAtThePartThatDecides) {
    int reads = 0;
    const auto counted = [&](const Fact& fact) {
        ++reads;
        return facts(fact);
    };
    EXPECT_EQ(evaluate(parsed("leaked && free && free"), counted), 0);
    EXPECT_EQ(reads, 1);
    EXPECT_EQ(evaluate(parsed("free || leaked"), counted), 1);
    EXPECT_EQ(reads, 2);
}

TEST(Predicate, FactsCarryTheirArguments) {
    const std::vector<Fact> found =
        facts_of(parsed("reserve.users(cpu0) > loan(B) || seen(wait.done) && loan(B)"));
    ASSERT_EQ(found.size(), 3u);
    EXPECT_EQ(found[0].kind, Fact::Kind::reserve_users);
    EXPECT_EQ(found[0].cpu, CpuId(0));
    EXPECT_EQ(found[1].thread, 1u);
    EXPECT_EQ(found[2].mark, abi::Mark::wait_done);
}

}  // namespace
}  // namespace stackrig::scenario
