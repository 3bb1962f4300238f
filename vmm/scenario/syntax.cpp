// Runs the PEGTL grammar, copies its tree, and words its errors.
#include "vmm/scenario/syntax.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <memory>
#include <tao/pegtl/contrib/parse_tree.hpp>

#include "vmm/scenario/grammar.hpp"

namespace stackrig::scenario {
namespace {

namespace g = grammar;
namespace pegtl = tao::pegtl;

/// Rules that become nodes; all others leave no trace in the tree.
template <class Rule>
inline constexpr Syntax kind_of = Syntax::root;
#define STACKRIG_NODE(rule, kind) \
    template <>                   \
    inline constexpr Syntax kind_of<g::rule> = Syntax::kind
STACKRIG_NODE(op_simple, op_simple);
STACKRIG_NODE(op_counted, op_counted);
STACKRIG_NODE(op_cpu, op_cpu);
STACKRIG_NODE(call, call);
STACKRIG_NODE(call_argument, call_argument);
STACKRIG_NODE(call_via, call_via);
STACKRIG_NODE(call_name, call_name);
STACKRIG_NODE(number, number);
STACKRIG_NODE(size, size);
STACKRIG_NODE(run_step, step_run);
STACKRIG_NODE(inject_step, step_inject);
STACKRIG_NODE(fail_step, step_fail);
STACKRIG_NODE(allow_step, step_allow);
STACKRIG_NODE(expect_step, step_expect);
STACKRIG_NODE(run_thread, thread);
STACKRIG_NODE(place_thread, thread);
STACKRIG_NODE(event_irq, event_irq);
STACKRIG_NODE(irq_source, irq_source);
STACKRIG_NODE(event_pf, event_pf);
STACKRIG_NODE(fault_address, fault_address);
STACKRIG_NODE(event_apf, event_apf);
STACKRIG_NODE(event_simple, event_simple);
STACKRIG_NODE(event_exception, event_exception);
STACKRIG_NODE(resched, resched);
STACKRIG_NODE(target, target);
STACKRIG_NODE(fail_count, fail_count);
STACKRIG_NODE(place, place);
STACKRIG_NODE(place_step, place_step);
STACKRIG_NODE(place_mark, place_mark);
STACKRIG_NODE(place_handler, place_handler);
STACKRIG_NODE(place_word, place_word);
STACKRIG_NODE(place_symbol, place_symbol);
STACKRIG_NODE(place_address, place_address);
STACKRIG_NODE(inject_at, inject_at);
STACKRIG_NODE(fail_nth, fail_nth);
STACKRIG_NODE(from_there_on, from_there_on);
STACKRIG_NODE(nth, nth);
STACKRIG_NODE(owner, thread);
STACKRIG_NODE(mark_name, mark_name);
STACKRIG_NODE(handler_name, handler_name);
STACKRIG_NODE(symbol_name, symbol_name);
STACKRIG_NODE(offset, offset);
STACKRIG_NODE(occurrence, occurrence);
STACKRIG_NODE(predicate, predicate);
STACKRIG_NODE(or_expression, or_list);
STACKRIG_NODE(and_expression, and_list);
STACKRIG_NODE(comparison, comparison);
STACKRIG_NODE(compare_op, compare_op);
STACKRIG_NODE(negation, negation);
STACKRIG_NODE(integer, integer);
STACKRIG_NODE(fact, fact);
STACKRIG_NODE(fact_name, fact_name);
STACKRIG_NODE(fact_argument, fact_argument);
#undef STACKRIG_NODE

template <class Rule>
struct Selector : std::bool_constant<kind_of<Rule> != Syntax::root> {};

struct TreeNode : pegtl::parse_tree::basic_node<TreeNode> {
    Syntax kind = Syntax::root;
    template <class Rule, class Input, class... States>
    void start(const Input& in, States&&... states) {
        kind = kind_of<Rule>;
        pegtl::parse_tree::basic_node<TreeNode>::start<Rule>(in, states...);
    }
};

/// How an error says what should have stood there; `words`, space-separated, feed "did you mean".
struct Expectation {
    const char* what = nullptr;
    const char* words = "";
};
template <class Rule>
inline constexpr Expectation expectation = {};
#define STACKRIG_EXPECT(rule, ...) \
    template <>                    \
    inline constexpr Expectation expectation<g::rule> = {__VA_ARGS__}
STACKRIG_EXPECT(operation, "an operation",
                "spin touch touch_kernel int3 step ud2 gp de cli exec exit hog release up down syscall syscall32 int80 call");
STACKRIG_EXPECT(call_argument, "a CPU (cpu1)");
STACKRIG_EXPECT(operation_end, "nothing more in this operation", "deep");
STACKRIG_EXPECT(call_name, "the name of a system call", "null lock unlock wait wake yield exit fork kill migrate dump bad_iret");
STACKRIG_EXPECT(size, "a size such as 512 or 6K");
STACKRIG_EXPECT(number, "a number");
STACKRIG_EXPECT(open, "\"(\"");
STACKRIG_EXPECT(close, "\")\"");
STACKRIG_EXPECT(step, "a step", "run inject fail allow expect");
STACKRIG_EXPECT(step_end, "nothing more in this step", "with");
STACKRIG_EXPECT(kw_until, "\"until\" and a place", "until");
STACKRIG_EXPECT(event, "an event", "irq nmi mc db bp ud gp pf apf de of br nm ts np ss mf ac xf syscall syscall32 int80");
STACKRIG_EXPECT(irq_source, "timer, device or a vector number", "timer device");
STACKRIG_EXPECT(fault_address, "an address such as 0x40000000");
STACKRIG_EXPECT(kw_need_resched, "need_resched", "need_resched");
STACKRIG_EXPECT(kw_on, "\"on\" and a CPU or thread", "on with deep");
STACKRIG_EXPECT(target, "a CPU (cpu0) or a thread");
STACKRIG_EXPECT(fail_what, "\"next N allocations\" or \"all allocations\"", "next all");
STACKRIG_EXPECT(fail_count, "the number of allocations");
STACKRIG_EXPECT(kw_allocations, "\"allocations\"", "allocations");
STACKRIG_EXPECT(place, "a place", "user sleeps exits idle mark handler");
STACKRIG_EXPECT(place_body, "a place", "user sleeps exits idle mark handler");
STACKRIG_EXPECT(place_end, "nothing more in this place");
STACKRIG_EXPECT(mark_name, "the name of a mark");
STACKRIG_EXPECT(handler_name, "the name of an entry");
STACKRIG_EXPECT(offset, "an offset such as 0x10");
STACKRIG_EXPECT(occurrence, "a number, as in #2");
STACKRIG_EXPECT(predicate, "a predicate", "!");
STACKRIG_EXPECT(or_expression, "a predicate", "!");
STACKRIG_EXPECT(or_term, "a comparison", "!");
STACKRIG_EXPECT(and_term, "a comparison", "!");
STACKRIG_EXPECT(operand, "a fact, a number, \"!\" or \"(\"", "!");
STACKRIG_EXPECT(unchained, "one comparison at a time: write a < b && b < c");
STACKRIG_EXPECT(predicate_end, "an operator or the end", "== != < <= > >= && ||");
STACKRIG_EXPECT(kw_at, "\"at\" and a boundary such as A do_syscall_64+0x10 #2", "at with deep");
STACKRIG_EXPECT(nth, "a number, as in #2");
STACKRIG_EXPECT(owner, "a thread");
STACKRIG_EXPECT(decision, "\"inject EVENT at PLACE\" or \"fail allocation #N\"", "inject fail");
STACKRIG_EXPECT(decision_end, "nothing more in this decision", "with of");
STACKRIG_EXPECT(fact_argument, "a CPU, a thread or a mark");
#undef STACKRIG_EXPECT

/// Thrown by the parser and caught in this file only.
struct Mismatch {
    std::size_t byte;
    Expectation expected;
};

template <class Rule>
struct Control : pegtl::normal<Rule> {
    template <class Input, class... States>
    [[noreturn]] static void raise(const Input& in, States&&... /*unused*/) {
        static_assert(expectation<Rule>.what != nullptr, "a needed rule says what it expects");
        throw Mismatch{in.byte(), expectation<Rule>};
    }
};

SyntaxNode copy(const TreeNode& from) {
    SyntaxNode node;
    node.kind = from.kind;
    if (!from.is_root()) {
        node.begin = from.begin().byte;
        node.end = from.end().byte;
    }
    for (const auto& child : from.children) {
        node.children.push_back(copy(*child));
    }
    return node;
}

template <class Rule>
SyntaxNode run_grammar(std::string_view sentence) {
    pegtl::memory_input<> in(sentence.data(), sentence.size(), "");
    const auto tree = pegtl::parse_tree::parse<Rule, TreeNode, Selector, pegtl::nothing, Control>(in);
    return copy(*tree);
}

SyntaxNode run_grammar(SentenceKind kind, std::string_view sentence) {
    switch (kind) {
        case SentenceKind::operation:
            return run_grammar<g::op_sentence>(sentence);
        case SentenceKind::step:
            return run_grammar<g::step_sentence>(sentence);
        case SentenceKind::place:
            return run_grammar<g::place_sentence>(sentence);
        case SentenceKind::decision:
            return run_grammar<g::decision_sentence>(sentence);
        case SentenceKind::predicate:
            break;
    }
    return run_grammar<g::predicate_sentence>(sentence);
}

bool word_byte(char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '.' ||
           c == '-' || (static_cast<unsigned char>(c) & 0x80) != 0;
}

/// The end of the word, or run of one sort of sign, that starts at `begin`.
std::size_t word_end(std::string_view sentence, std::size_t begin) {
    std::size_t end = begin;
    while (end < sentence.size() && word_byte(sentence[end])) {
        ++end;
    }
    if (end > begin || end == sentence.size()) {
        return end;
    }
    const char sign = sentence[begin];
    while (end < sentence.size() && sentence[end] == sign) {
        ++end;
    }
    return end;
}

std::vector<std::string> split(std::string_view words) {
    std::vector<std::string> out;
    while (!words.empty()) {
        const std::size_t space = words.find(' ');
        out.emplace_back(words.substr(0, space));
        words.remove_prefix(space == std::string_view::npos ? words.size() : space + 1);
    }
    return out;
}

/// What people from other languages write for an operator.
constexpr std::pair<const char*, const char*> foreign_operators[] = {
    {"and", "&&"}, {"&", "&&"}, {"or", "||"}, {"|", "||"}, {"=", "=="}, {"not", "!"}};

std::string operator_meant(std::string_view found, const std::vector<std::string>& wanted) {
    for (const auto& [foreign, ours] : foreign_operators) {
        if (found == foreign && std::count(wanted.begin(), wanted.end(), ours) > 0) {
            return ours;
        }
    }
    return {};
}

SyntaxError explain(std::string_view sentence, const Mismatch& mismatch) {
    SyntaxError error;
    error.begin = mismatch.byte;
    error.end = word_end(sentence, mismatch.byte);
    error.wanted = split(mismatch.expected.words);
    const std::string_view found = sentence.substr(error.begin, error.end - error.begin);
    error.text = found.empty()
                     ? fmt::format("expected {}, but the sentence ends here", mismatch.expected.what)
                     : fmt::format("expected {}, found \"{}\"", mismatch.expected.what, found);
    error.meant = operator_meant(found, error.wanted);
    return error;
}

}  // namespace

const SyntaxNode* SyntaxNode::child(Syntax wanted) const {
    const auto found =
        std::find_if(children.begin(), children.end(), [&](const auto& c) { return c.kind == wanted; });
    return found == children.end() ? nullptr : &*found;
}

tl::expected<SyntaxNode, SyntaxError> parse_syntax(SentenceKind kind, std::string_view sentence) {
    if (sentence.size() > longest_sentence) {
        return tl::make_unexpected(
            SyntaxError{0,
                        sentence.size(),
                        fmt::format("a sentence of {} bytes is too long: the limit is {}", sentence.size(),
                                    longest_sentence),
                        {}});
    }
    try {
        return run_grammar(kind, sentence);
    } catch (const Mismatch& mismatch) {
        return tl::make_unexpected(explain(sentence, mismatch));
    }
}

}  // namespace stackrig::scenario
