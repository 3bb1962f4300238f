// Sentences: each rule of the grammar gives the model it promises, and the canonical text reads back the
// same.
#include "vmm/scenario/sentence.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/scenario/fake_guest.hpp"

namespace stackrig::scenario {
namespace {

using abi::OpKind;
using abi::Sys;
using abi::ThreadKind;
using abi::Via;
using engine::EventKind;
using Kind = engine::Place::Kind;

class Sentence : public ::testing::Test {
  private:
    template <class Reader>
    auto read(const std::string& text, Reader reader) {
        const SourceText source("sentence", text);
        Reporter reporter(source);
        auto result = reader(plain_piece(text), reporter);
        problems = reporter.take();
        EXPECT_EQ(result.has_value(), problems.empty()) << text << "\n" << render(problems);
        return result;
    }

  protected:
    std::optional<abi::Op> op(const std::string& text, ThreadKind kind = ThreadKind::user) {
        return read(text,
                    [&](const Piece& p, Reporter& r) { return read_operation(p, kind, guest.names, r); });
    }
    std::optional<engine::Step> step(const std::string& text) {
        return read(text, [&](const Piece& p, Reporter& r) { return read_step(p, guest.names, expects, r); });
    }
    template <class What>
    What as(const std::string& text) {
        const auto found = step(text);
        EXPECT_TRUE(found) << text << "\n" << render(problems);
        const What* what = found ? std::get_if<What>(&found->what) : nullptr;
        EXPECT_NE(what, nullptr) << text;
        return what == nullptr ? What{} : *what;
    }
    engine::Event event(const std::string& text, const std::string& target = "cpu0") {
        return as<engine::Inject>("inject " + text + " on " + target).event;
    }
    engine::Place place(const std::string& text) {
        const auto found = parse_place(text, guest.names);
        EXPECT_TRUE(found) << text << "\n" << (found ? "" : render(found.error()));
        return found ? *found : engine::Place{};
    }
    std::string canonical(const std::string& text) {
        const auto found = step(text);
        EXPECT_TRUE(found) << text << "\n" << render(problems);
        return found ? render(*found, guest.names, expects) : "";
    }

    FakeGuest guest;
    std::vector<CheckedPredicate> expects;
    Diagnostics problems;
};

TEST_F(Sentence, SimpleOperations) {
    const std::pair<const char*, OpKind> all[] = {
        {"spin", OpKind::spin}, {"touch", OpKind::touch}, {"int3", OpKind::int3}, {"step", OpKind::step},
        {"ud2", OpKind::ud2},   {"gp", OpKind::gp},       {"de", OpKind::de},     {"exit", OpKind::end}};
    for (const auto& [text, kind] : all) {
        ASSERT_TRUE(op(text)) << text;
        EXPECT_EQ(op(text)->kind, kind);
        EXPECT_EQ(op(text, ThreadKind::kthread).has_value(), kind == OpKind::end) << text;
    }
}

TEST_F(Sentence, CallsByEachEntry) {
    EXPECT_EQ(op("syscall null")->via, Via::syscall64);
    EXPECT_EQ(op("syscall32 null")->via, Via::syscall32);
    EXPECT_EQ(op("int80 null")->via, Via::int80);
    EXPECT_FALSE(op("call null"));
    EXPECT_TRUE(op("call null", ThreadKind::kthread));
    EXPECT_FALSE(op("syscall null", ThreadKind::kthread));
}

TEST_F(Sentence, CallArguments) {
    const auto lock = op("  syscall lock 15\tdeep 12K ");
    ASSERT_TRUE(lock);
    EXPECT_EQ(lock->number, Sys::lock);
    EXPECT_EQ(lock->arg, 15u);
    EXPECT_EQ(lock->depth, 12288u);
    EXPECT_EQ(op("syscall wait deep 0x200")->depth, 512u);
    EXPECT_EQ(op("syscall exit deep 15K")->depth, 15360u);
    EXPECT_FALSE(op("syscall lock 16"));
    EXPECT_FALSE(op("syscall null 1"));
    EXPECT_FALSE(op("syscall null deep 15361"));
    EXPECT_FALSE(op("syscall null deep 12Q"));
    EXPECT_FALSE(op("syscall null deep 99999999999999999999"));
    EXPECT_FALSE(op("syscall null deep 12K deep 12K"));
}

TEST_F(Sentence, HogAndReleaseAreForKthreads) {
    EXPECT_EQ(op("hog 32", ThreadKind::kthread)->arg, 32u);
    EXPECT_EQ(op("release 1", ThreadKind::kthread)->kind, OpKind::release);
    EXPECT_FALSE(op("hog 33", ThreadKind::kthread));
    EXPECT_FALSE(op("hog 0", ThreadKind::kthread));
    EXPECT_FALSE(op("hog 1"));
}

TEST_F(Sentence, AllProblemsOfASentenceAtOnce) {
    EXPECT_FALSE(op("call nul deep 16K"));
    EXPECT_EQ(problems.size(), 3u) << render(problems);
    EXPECT_FALSE(step("inject irq(foo) on cpu7 with need_resched"));
    EXPECT_EQ(problems.size(), 2u) << render(problems);
    EXPECT_FALSE(step("run X until Y mark(nowhere) #0"));
    EXPECT_EQ(problems.size(), 4u) << render(problems);
    EXPECT_FALSE(step("expect resrve(cpu0) == 3 && cache(cpu1) == 0 || !pend(Z)"));
    EXPECT_EQ(problems.size(), 3u) << render(problems);
}

TEST_F(Sentence, RunSteps) {
    EXPECT_TRUE(std::holds_alternative<engine::RunToQuiet>(step("run")->what));
    const auto until = as<engine::RunUntil>("run A until user");
    EXPECT_EQ(until.thread, 0u);
    EXPECT_EQ(until.place.thread, 0u);
    EXPECT_EQ(until.place.text, "user");
    const auto other = as<engine::RunUntil>("run A until B sleeps");
    EXPECT_EQ(other.thread, 0u);
    EXPECT_EQ(other.place.thread, 1u);
    EXPECT_FALSE(as<engine::RunUntil>("run until mark(sleep)").place.thread);
    EXPECT_FALSE(as<engine::RunUntil>("run A until idle").place.thread);
    EXPECT_EQ(as<engine::RunUntil>("run A until handler(timer)").place.thread, 0u);
    EXPECT_EQ(as<engine::RunUntil>("run K until K exits").place.kind, Kind::exits);
}

TEST_F(Sentence, PlacesThatCannotBeReachedAreErrors) {
    for (const char* text :
         {"run until sleeps", "run until exits", "run until K user", "run K until user", "run until A idle",
          "run until end", "run until step 1", "run until A", "run until nowhere", "run until handler(irq)",
          "run until mark(user)", "run until handler(none)"}) {
        EXPECT_FALSE(step(text)) << text;
    }
}

TEST_F(Sentence, AHandlerThatAGuestOfAnotherTreeDoesNotHaveIsSaid) {
    guest.symbols.table.erase("asm_exc_page_fault");
    EXPECT_FALSE(step("run until handler(page_fault)"));
    const std::string text = render(problems);
    EXPECT_NE(text.find("error: the guest has no symbol asm_exc_page_fault: guest and program are not from one tree\n"), std::string::npos) << text;
    EXPECT_NE(text.find("= `ninja -C build` builds both\n"), std::string::npos) << text;
}

TEST_F(Sentence, Places) {
    EXPECT_EQ(place("user").kind, Kind::user);
    EXPECT_FALSE(place("user").thread);
    EXPECT_EQ(place("B user #3").occurrence, 3u);
    EXPECT_EQ(place("B user #3").thread, 1u);
    EXPECT_EQ(place("A sleeps").kind, Kind::sleeps);
    EXPECT_EQ(place("mark( enter.begin )").mark, abi::Mark::enter_begin);
    EXPECT_EQ(place("A mark(enter.pte) # 2").thread, 0u);
    EXPECT_EQ(place("handler(page_fault)").entry, abi::Entry::page_fault);
    EXPECT_EQ(place("handler(mc)").entry, abi::Entry::machine_check);
    EXPECT_EQ(place("handler(timer)").address, guest.symbols.find("asm_sysvec_apic_timer_interrupt"));
    EXPECT_EQ(place("idle").kind, Kind::idle);
    EXPECT_EQ(place("end").kind, Kind::end);
    EXPECT_EQ(place("step 5").occurrence, 5u);
    EXPECT_FALSE(parse_place("step 6", guest.names));
    EXPECT_FALSE(parse_place("step 0", guest.names));
    EXPECT_FALSE(parse_place("", guest.names));
    const auto symbol = place("K mutex_lock+0x1f #2");
    EXPECT_EQ(symbol.kind, Kind::symbol);
    EXPECT_EQ(symbol.symbol, "mutex_lock");
    EXPECT_EQ(symbol.address, Gva(0xffffffff8010181f));
    EXPECT_EQ(symbol.thread, 2u);
    EXPECT_EQ(symbol.text, "K mutex_lock+0x1f #2");
}

TEST_F(Sentence, AllMarksAndEntriesAreKnown) {
#define X(name, number, text, args) EXPECT_EQ(place("mark(" text ")").mark, abi::Mark::name);
    STACKRIG_MARKS(X)
#undef X
    for (const abi::EntryClass& row : abi::entry_classes) {
        if (row.entry != abi::Entry::none) {
            EXPECT_EQ(place(std::string("handler(") + row.name + ")").entry, row.entry);
        }
    }
}

TEST_F(Sentence, Events) {
    EXPECT_EQ(event("irq(timer)").vector, Vector(abi::timer_vector));
    EXPECT_EQ(event("irq(device)").vector, Vector(abi::device_vector));
    EXPECT_EQ(event("irq(0x21)").vector, Vector(0x21));
    EXPECT_EQ(event("nmi").kind, EventKind::nmi);
    EXPECT_EQ(event("mc").kind, EventKind::machine_check);
    EXPECT_EQ(event("db").kind, EventKind::debug);
    EXPECT_EQ(event("bp").kind, EventKind::int3);
    EXPECT_EQ(event("ud").kind, EventKind::exception);
    EXPECT_EQ(event("ud").vector, Vector(6));
    EXPECT_EQ(event("gp").vector, Vector(13));
    EXPECT_EQ(event("pf(0x40000000)").address, Gva(0x40000000));
    EXPECT_EQ(event("pf(0x40000000)").error_code, 4u);
    EXPECT_EQ(event("pf(0xffff888000000000)").error_code, 0u);
    EXPECT_EQ(event("pf", "A").kind, EventKind::page_fault);
    EXPECT_EQ(event("db", "A").kind, EventKind::debug);
    const auto call = event("int80 lock 2 deep 6K", "B");
    EXPECT_EQ(call.kind, EventKind::call);
    EXPECT_EQ(call.call.via, Via::int80);
    EXPECT_EQ(call.call.depth, 6144u);
    EXPECT_EQ(call.text, "int80 lock 2 deep 6K");
}

TEST_F(Sentence, EventsThatCannotHappenAreErrors) {
    for (const char* text : {"inject irq(0x1f) on cpu0",
                             "inject irq(0x80) on cpu0",
                             "inject irq(256) on cpu0",
                             "inject nmi on cpu1",
                             "inject pf(0x800000000000) on cpu0",
                             "inject pf(0x1ffffffffffffffff) on cpu0",
                             "inject pf(0) on cpu0",
                             "inject pf on cpu0",
                             "inject pf(0x40000000) on A",
                             "inject syscall null on cpu0",
                             "inject syscall null on K",
                             "inject db on K",
                             "inject call null on A",
                             "inject nmi on C",
                             "inject nmi on A",
                             "inject mc on A",
                             "inject irq(timer) on A",
                             "inject nmi on K",
                             "inject nmi on cpu0 with need_resched",
                             "inject irq(0x21) on cpu0 with need_resched",
                             "inject irq(timer) with need_resched on cpu0 with need_resched"}) {
        EXPECT_FALSE(step(text)) << text;
    }
}

TEST_F(Sentence, TargetsAndNeedResched) {
    const auto on_cpu = as<engine::Inject>("inject irq(timer) on cpu0 with need_resched");
    EXPECT_EQ(std::get<CpuId>(on_cpu.target), CpuId(0));
    EXPECT_TRUE(on_cpu.event.need_resched);
    EXPECT_TRUE(as<engine::Inject>("inject irq(timer) with need_resched on cpu0").event.need_resched);
    EXPECT_FALSE(as<engine::Inject>("inject irq(timer) on cpu0").event.need_resched);
    EXPECT_EQ(std::get<engine::ThreadIndex>(as<engine::Inject>("inject gp on B").target), 1u);
}

TEST_F(Sentence, AllocationPolicies) {
    using Policy = engine::AllocPolicy;
    EXPECT_EQ(as<Policy>("fail next 3 allocations").count, 3u);
    EXPECT_EQ(as<Policy>("fail next 1 allocation").kind, Policy::Kind::fail_next);
    EXPECT_EQ(as<Policy>("fail all allocations").kind, Policy::Kind::fail_all);
    EXPECT_EQ(as<Policy>("allow allocations").kind, Policy::Kind::allow);
    EXPECT_FALSE(step("fail next 0 allocations"));
}

TEST_F(Sentence, ExpectStepsPointAtTheirPredicates) {
    EXPECT_EQ(as<engine::Expect>("expect leaked == 0").index, 0u);
    EXPECT_EQ(as<engine::Expect>("expect mapped(B) == 4").index, 1u);
    ASSERT_EQ(expects.size(), 2u);
    EXPECT_EQ(expects[1].text, "mapped(B) == 4");
    EXPECT_EQ(expects[1].at, (Span{{1, 8}, 14}));
}

TEST_F(Sentence, ErrorsPointAtTheWord) {
    const struct {
        const char* text;
        std::uint32_t column;
        std::uint32_t length;
    } cases[] = {{"run A utnil user", 7, 5},
                 {"run A until usr", 13, 3},
                 {"inject irq(timmer) on cpu0", 12, 6},
                 {"inject irq(timer) onn cpu0", 19, 3},
                 {"inject irq(timer on cpu0", 18, 2},
                 {"run A until mark(enter.begn)", 18, 10},
                 {"expect reserve(cpu0) = 3", 22, 1},
                 {"expect resrve(cpu0) == 3", 8, 6},
                 {"expect cache(cpu0) == ", 23, 1},
                 {"fail nxt 3 allocations", 6, 3},
                 {"run A until user user", 18, 4},
                 {"expect free && (leaked", 23, 1},
                 {"expect free = = 1", 13, 1},
                 {"inject nmi on cpu3", 15, 4}};
    for (const auto& c : cases) {
        EXPECT_FALSE(step(c.text));
        ASSERT_EQ(problems.size(), 1u) << c.text << "\n" << render(problems);
        EXPECT_EQ(problems[0].column, c.column) << render(problems);
        EXPECT_EQ(problems[0].length, c.length) << render(problems);
    }
}

TEST_F(Sentence, CanonicalSpelling) {
    EXPECT_EQ(canonical("run   A until  A   user"), "run A until user");
    EXPECT_EQ(canonical("run until A user #1"), "run until A user");
    EXPECT_EQ(canonical("inject irq( 0xec ) with need_resched on cpu0"),
              "inject irq(timer) on cpu0 with need_resched");
    EXPECT_EQ(canonical("inject irq(33) on cpu0"), "inject irq(device) on cpu0");
    EXPECT_EQ(canonical("inject syscall lock deep 2048 on B"), "inject syscall lock 0 deep 2K on B");
    EXPECT_EQ(canonical("inject pf(1073741824) on cpu0"), "inject pf(0x40000000) on cpu0");
    EXPECT_EQ(canonical("run B until handler(pf) #2"), "run B until handler(page_fault) #2");
    EXPECT_EQ(canonical("run until mutex_lock+16"), "run until mutex_lock+0x10");
    EXPECT_EQ(canonical("fail next 1 allocations"), "fail next 1 allocation");
    EXPECT_EQ(canonical("expect ((free)==(1))||!(leaked<2)&&seen(sleep)"),
              "expect free == 1 || !(leaked < 2) && seen(sleep)");
}

TEST_F(Sentence, CanonicalTextReadsBackTheSame) {
    for (const char* text :
         {"run",
          "run A until user",
          "run A until B user #2",
          "run until mark(exit.pte) #3",
          "run K until K exits",
          "run B until handler(device)",
          "run until idle",
          "run A until do_syscall_64+0x4 #7",
          "inject nmi on cpu0",
          "inject mc on cpu0",
          "inject irq(device) on cpu0",
          "inject pf on A",
          "inject irq(timer) on cpu0 with need_resched",
          "inject pf(0xffffc90000004ff8) on cpu0",
          "inject int80 unlock 3 on A",
          "inject syscall32 exit deep 1536 on B",
          "fail next 2 allocations",
          "fail all allocations",
          "allow allocations",
          "expect (free == 1 || leaked > 2) && !pend(A) && (mapped(B) == 4) != (loan(A) >= 1)"}) {
        const std::string once = canonical(text);
        EXPECT_EQ(canonical(once), once);
    }
    const std::pair<const char*, ThreadKind> programs[] = {{"syscall lock 1 deep 12K", ThreadKind::user},
                                                           {"int80 null deep 513", ThreadKind::user},
                                                           {"exit", ThreadKind::user},
                                                           {"call wait 2 deep 1K", ThreadKind::kthread},
                                                           {"hog 4", ThreadKind::kthread}};
    for (const auto& [text, kind] : programs) {
        EXPECT_EQ(render(*op(text, kind), kind, guest.names), text);
    }
}

/// Random expressions: what render() writes, read_predicate() reads back as the same tree.
TEST_F(Sentence, RandomPredicatesSurviveRendering) {
    std::mt19937 random(20240317);
    const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    const std::function<Predicate(int)> grow = [&](int depth) {
        Predicate p;
        const unsigned pick = depth == 0 ? below(2) : below(11);
        p.op = static_cast<Predicate::Op>(pick);
        if (p.op == Predicate::Op::integer) {
            p.value = below(5);
        } else if (p.op == Predicate::Op::fact) {
            const FactWord& word = fact_words[below(std::size(fact_words))];
            p.fact.kind = word.value;
            p.fact.thread = word.argument == Fact::Argument::thread ? below(3) : 0;
            p.fact.mark = word.argument == Fact::Argument::mark ? abi::Mark::wake : abi::Mark::boot_done;
        } else {
            const bool list = p.op == Predicate::Op::both || p.op == Predicate::Op::either;
            const unsigned parts = p.op == Predicate::Op::negation ? 1 : list ? 2 + below(2) : 2;
            for (unsigned i = 0; i < parts; ++i) {
                p.parts.push_back(grow(depth - 1));
            }
        }
        return p;
    };
    int checked = 0;
    for (int round = 0; round < 2000; ++round) {
        const Predicate predicate = grow(3);
        const std::string text = render(predicate, guest.names);
        if (facts_of(predicate).empty() || text.size() > 900) {
            continue;
        }
        const SourceText source("p", text);
        Reporter reporter(source);
        const auto back = read_predicate(plain_piece(text), guest.names, reporter);
        ASSERT_TRUE(back) << render(reporter.take());
        EXPECT_EQ(back->predicate, predicate) << text;
        ++checked;
    }
    EXPECT_GT(checked, 500);
}

TEST_F(Sentence, LongAndDeepSentencesAreRefusedNotFatal) {
    EXPECT_FALSE(step("expect " + std::string(100'000, '(')));
    EXPECT_FALSE(step("expect " + std::string(990, '(')));
    EXPECT_FALSE(step("expect " + std::string(900, '!')));
    EXPECT_TRUE(step("expect " + std::string(900, '!') + "free"));
}

}  // namespace
}  // namespace stackrig::scenario
