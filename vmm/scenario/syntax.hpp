// Sentence text -> syntax tree. Hides PEGTL; knows no names and no ranges.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace stackrig::scenario {

/// What a node of the syntax tree is. Inner nodes have their parts as children, in the order of the text.
enum class Syntax {
    root,
    op_simple,   ///< leaf: the word
    op_counted,  ///< leaf: the word; a `number` follows
    op_cpu,      ///< leaf: the word; a `call_argument` follows
    call,        ///< call_via, call_name, [number or call_argument], [size]
    call_argument,
    call_via,
    call_name,
    number,
    size,
    step_run,     ///< [thread], [place]; no place: to quiet
    step_inject,  ///< event, [resched], target, [resched]
    step_fail,    ///< fail_count, or nothing for all
    step_allow,
    step_expect,  ///< predicate
    thread,
    event_irq,  ///< irq_source
    irq_source,
    event_pf,  ///< [fault_address]
    fault_address,
    event_apf,  ///< fault_address
    event_simple,
    event_exception,
    resched,
    target,
    fail_count,
    place,          ///< [thread], then one of place_*, then [occurrence]
    place_step,     ///< number
    place_mark,     ///< mark_name
    place_handler,  ///< handler_name
    place_word,
    place_symbol,  ///< symbol_name, [offset]
    place_address,
    inject_at,      ///< event, [resched], place, [resched]
    fail_nth,       ///< [from_there_on], nth, [thread]
    from_there_on,  ///< leaf: the word
    nth,
    mark_name,
    handler_name,
    symbol_name,
    offset,
    occurrence,
    predicate,   ///< one node of or_list
    or_list,     ///< and_list, and_list...
    and_list,    ///< comparison...
    comparison,  ///< operand [compare_op operand]
    compare_op,
    negation,  ///< operand
    integer,
    fact,  ///< fact_name [fact_argument]
    fact_name,
    fact_argument,
};

/// Bytes [begin, end) of the sentence.
struct SyntaxNode {
    Syntax kind = Syntax::root;
    std::size_t begin = 0;
    std::size_t end = 0;
    std::vector<SyntaxNode> children;

    [[nodiscard]] std::string_view text(std::string_view sentence) const {
        return sentence.substr(begin, end - begin);
    }
    /// The first child of that kind, or null.
    [[nodiscard]] const SyntaxNode* child(Syntax wanted) const;
};

/// Where the sentence stops making sense, and what would have.
struct SyntaxError {
    std::size_t begin = 0;
    std::size_t end = 0;              ///< of the offending word; equal to begin at the end of the sentence
    std::string text;                 ///< `expected a place, found "usr"`
    std::vector<std::string> wanted;  ///< the words that could stand there
    std::string meant;  ///< what the word is called here, when other languages have it; or empty
};

enum class SentenceKind { operation, step, place, predicate, decision };

/// Bytes. Keeps the recursion of the grammar, and the patience of a reader, bounded.
inline constexpr std::size_t longest_sentence = 1000;

/// The root node; its children are the parts of the sentence.
[[nodiscard]] tl::expected<SyntaxNode, SyntaxError> parse_syntax(SentenceKind kind,
                                                                 std::string_view sentence);

}  // namespace stackrig::scenario
