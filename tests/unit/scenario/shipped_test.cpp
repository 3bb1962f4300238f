// The scenarios in the tree: all load, all say what they are about, and together they cover the mail.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/unit/scenario/fake_guest.hpp"
#include "vmm/scenario/scenario.hpp"
#include "vmm/scenario/sentence.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

namespace fs = std::filesystem;

std::vector<Scenario> shipped() {
    const FakeSymbols symbols;
    std::vector<Scenario> out;
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(STACKRIG_SOURCE_ROOT) / "scenarios")) {
        if (entry.path().extension() != ".toml") {
            continue;
        }
        std::ifstream in(entry.path(), std::ios::binary);
        auto loaded = check(std::string(std::istreambuf_iterator<char>(in), {}), entry.path().string(), symbols);
        EXPECT_TRUE(loaded) << (loaded ? "" : render(loaded.error()));
        if (loaded) {
            out.insert(out.end(), loaded->begin(), loaded->end());
        }
    }
    return out;
}

TEST(Shipped, AllLoadAndAreNamedLikeTheirFiles) {
    const auto all = shipped();
    EXPECT_GE(all.size(), 22u);
    for (const Scenario& s : all) {
        EXPECT_EQ(s.name, fs::path(s.file).stem()) << s.file;
    }
}

TEST(Shipped, EveryClaimOfTheMailIsTested) {
    std::set<std::string> covered;
    for (const Scenario& s : shipped()) {
        covered.insert(s.claims.begin(), s.claims.end());
    }
    for (const std::string& claim : claims().ids) {
        EXPECT_TRUE(covered.contains(claim)) << claim;
    }
}

TEST(Shipped, EachExaminesSomethingAndSaysWhy) {
    for (const Scenario& s : shipped()) {
        EXPECT_FALSE(s.sometimes.empty() && s.expects.empty()) << s.file << " cannot be vacuous";
        EXPECT_GT(s.why.size(), 80u) << s.file;
        EXPECT_TRUE(s.expect.pass() || !s.claims.empty() || !s.hazards.empty()) << s.file << " breaks no claim, and shows no hazard?";
    }
}

TEST(Shipped, EachNamesTheCapabilitiesOfItsEvents) {
    for (const Scenario& s : shipped()) {
        for (const engine::Step& step : s.plan.schedule) {
            const auto* inject = std::get_if<engine::Inject>(&step.what);
            if (inject == nullptr || inject->event.kind == engine::EventKind::call) {
                continue;
            }
            const char* need = inject->event.kind == engine::EventKind::irq             ? "inject.irq"
                               : inject->event.kind == engine::EventKind::nmi           ? "inject.nmi"
                               : inject->event.kind == engine::EventKind::machine_check ? "inject.mc"
                                                                                        : "inject.exception";
            EXPECT_EQ(std::count(s.capabilities.begin(), s.capabilities.end(), need), 1)
                << s.file << ": " << need;
        }
    }
}

TEST(Shipped, EverySentenceIsStableUnderRendering) {
    const FakeSymbols symbols;
    for (const Scenario& s : shipped()) {
        const Names names = names_of(s, symbols);
        for (const engine::Step& step : s.plan.schedule) {
            const std::string once = render(step, names, s.expects);
            const SourceText source("again", once);
            Reporter reporter(source);
            std::vector<CheckedPredicate> expects;
            const auto again = read_step(plain_piece(once), names, expects, reporter);
            ASSERT_TRUE(again) << render(reporter.take());
            EXPECT_EQ(render(*again, names, expects), once) << s.file;
        }
        for (const engine::ThreadPlan& thread : s.plan.threads) {
            abi::ThreadKind kind = thread.kind;
            for (const abi::Op& op : thread.program) {
                if (op.kind == abi::OpKind::jump) {
                    continue;
                }
                const std::string once = render(op, kind, names);
                const SourceText source("again", once);
                Reporter reporter(source);
                const auto again = read_operation(plain_piece(once), kind, names, reporter);
                ASSERT_TRUE(again) << render(reporter.take());
                EXPECT_EQ(render(*again, kind, names), once) << s.file;
                kind = op.kind == abi::OpKind::exec ? abi::ThreadKind::user : kind;
            }
        }
    }
}

}  // namespace
}  // namespace stackrig::scenario
