// The one grammar of sentences, places and predicates (PEGTL). Names are plain words here; what they mean is
// checked later, so that a wrong name is reported as such and not as a syntax error.
#pragma once

#include <tao/pegtl.hpp>

namespace stackrig::scenario::grammar {

using namespace tao::pegtl;  // NOLINT: a grammar is unreadable otherwise

/// R must follow: otherwise the error is reported at exactly this place, as `expectation<R>` words it.
template <class R>
struct need : sor<R, raise<R>> {};

struct word_char : sor<alnum, one<'_', '.', '-', ':', '$'>> {};
struct word_start : sor<alpha, one<'_', '$'>> {};
struct word : seq<word_start, star<word_char>> {};
struct pad : star<one<' ', '\t', '\r', '\n'>> {};
template <class R>
struct token : seq<R, pad> {};
template <char... C>
struct key : seq<string<C...>, not_at<word_char>> {};

struct number : seq<sor<seq<one<'0'>, one<'x', 'X'>, plus<xdigit>>, plus<digit>>, not_at<word_char>> {};
struct size : seq<digit, star<word_char>> {};
struct open : one<'('> {};
struct close : one<')'> {};

struct kw_run : key<'r', 'u', 'n'> {};
struct kw_until : key<'u', 'n', 't', 'i', 'l'> {};
struct kw_inject : key<'i', 'n', 'j', 'e', 'c', 't'> {};
struct kw_on : key<'o', 'n'> {};
struct kw_with : key<'w', 'i', 't', 'h'> {};
struct kw_need_resched : key<'n', 'e', 'e', 'd', '_', 'r', 'e', 's', 'c', 'h', 'e', 'd'> {};
struct kw_fail : key<'f', 'a', 'i', 'l'> {};
struct kw_next : key<'n', 'e', 'x', 't'> {};
struct kw_all : key<'a', 'l', 'l'> {};
struct kw_allow : key<'a', 'l', 'l', 'o', 'w'> {};
struct kw_allocations : sor<key<'a', 'l', 'l', 'o', 'c', 'a', 't', 'i', 'o', 'n', 's'>,
                            key<'a', 'l', 'l', 'o', 'c', 'a', 't', 'i', 'o', 'n'>> {};
struct kw_expect : key<'e', 'x', 'p', 'e', 'c', 't'> {};
struct kw_deep : key<'d', 'e', 'e', 'p'> {};
struct kw_step : key<'s', 't', 'e', 'p'> {};
struct kw_mark : key<'m', 'a', 'r', 'k'> {};
struct kw_handler : key<'h', 'a', 'n', 'd', 'l', 'e', 'r'> {};
struct kw_irq : key<'i', 'r', 'q'> {};
struct kw_pf : key<'p', 'f'> {};
struct kw_apf : key<'a', 'p', 'f'> {};

// --- Operations of a program
// ---------------------------------------------------------------------------------
struct op_simple : sor<key<'s', 'p', 'i', 'n'>, key<'t', 'o', 'u', 'c', 'h'>, key<'i', 'n', 't', '3'>,
                       kw_step, key<'u', 'd', '2'>, key<'g', 'p'>, key<'d', 'e'>, key<'e', 'x', 'i', 't'>,
                       key<'t', 'o', 'u', 'c', 'h', '_', 'k', 'e', 'r', 'n', 'e', 'l'>, key<'c', 'l', 'i'>, key<'e', 'x', 'e', 'c'>> {};
struct op_cpu : sor<key<'u', 'p'>, key<'d', 'o', 'w', 'n'>> {};
struct op_counted : sor<key<'h', 'o', 'g'>, key<'r', 'e', 'l', 'e', 'a', 's', 'e'>> {};
struct call_via
    : sor<key<'s', 'y', 's', 'c', 'a', 'l', 'l', '3', '2'>, key<'s', 'y', 's', 'c', 'a', 'l', 'l'>,
          key<'i', 'n', 't', '8', '0'>, key<'c', 'a', 'l', 'l'>> {};
struct call_name : word {};
struct call_depth : seq<token<kw_deep>, need<size>> {};
struct call_argument : seq<not_at<sor<kw_deep, kw_on, kw_with>>, word> {};
struct call : seq<token<call_via>, need<call_name>, pad, opt<token<sor<number, call_argument>>>, opt<token<call_depth>>> {};
struct counted : seq<token<op_counted>, need<number>> {};
struct cpu_operation : seq<token<op_cpu>, need<call_argument>> {};
struct operation : sor<token<call>, token<counted>, token<cpu_operation>, token<op_simple>> {};
struct operation_end : eof {};
struct op_sentence : seq<pad, need<operation>, need<operation_end>> {};

// --- Predicates
// ------------------------------------------------------------------------------------------------
struct or_expression;
struct compare_op
    : sor<string<'=', '='>, string<'!', '='>, string<'<', '='>, string<'>', '='>, one<'<', '>'>> {};
struct integer : number {};
struct fact_name : word {};
struct fact_argument : sor<word, number> {};
struct fact
    : seq<not_at<key<'n', 'o', 't'>>, fact_name, opt<pad, open, pad, need<fact_argument>, pad, need<close>>> {
};
struct operand;
struct negation : seq<one<'!'>, pad, need<operand>> {};
struct group : seq<open, pad, need<or_expression>, pad, need<close>> {};
struct operand : sor<negation, group, integer, fact> {};
struct unchained : not_at<compare_op> {};
struct comparison : seq<operand, pad, opt<compare_op, pad, need<operand>, pad, need<unchained>>> {};
struct and_term : seq<comparison> {};
struct and_expression : seq<and_term, star<string<'&', '&'>, pad, need<and_term>>> {};
struct or_term : seq<and_expression> {};
struct or_expression : seq<or_term, star<string<'|', '|'>, pad, need<or_term>>> {};
struct predicate_end : eof {};
struct predicate : seq<or_expression> {};
struct predicate_sentence : seq<pad, need<predicate>, need<predicate_end>> {};

// --- Places
// ----------------------------------------------------------------------------------------------------
struct mark_name : word {};
struct handler_name : word {};
struct place_mark : seq<kw_mark, pad, need<open>, pad, need<mark_name>, pad, need<close>> {};
struct place_handler : seq<kw_handler, pad, need<open>, pad, need<handler_name>, pad, need<close>> {};
struct place_word : sor<key<'u', 's', 'e', 'r'>, key<'s', 'l', 'e', 'e', 'p', 's'>,
                        key<'e', 'x', 'i', 't', 's'>, key<'i', 'd', 'l', 'e'>, key<'e', 'n', 'd'>> {};
struct symbol_name : word {};
struct offset : number {};
struct place_symbol : seq<symbol_name, opt<one<'+'>, need<offset>>> {};
struct place_step : seq<token<kw_step>, need<number>> {};
struct occurrence : number {};
struct place_thread : seq<not_at<sor<place_word, kw_mark, kw_handler>>, word> {};
struct hex_number : seq<one<'0'>, one<'x', 'X'>, plus<xdigit>, not_at<word_char>> {};
struct place_address : hex_number {};
struct place_body : sor<place_mark, place_handler, place_word, place_address, place_symbol> {};
struct place : sor<place_step, seq<opt<place_thread, plus<space>, at<sor<word_start, hex_number>>>, need<place_body>, pad,
                                   opt<one<'#'>, pad, need<occurrence>>>> {};
struct place_end : eof {};
struct place_sentence : seq<pad, need<place>, pad, need<place_end>> {};

// --- Steps of the schedule
// --------------------------------------------------------------------------------------
struct irq_source : sor<number, word> {};
struct event_irq : seq<token<kw_irq>, need<open>, pad, need<irq_source>, pad, need<close>> {};
struct fault_address : number {};
struct event_pf : seq<token<kw_pf>, opt<open, pad, need<fault_address>, pad, need<close>>> {};
struct event_apf : seq<token<kw_apf>, need<open>, pad, need<fault_address>, pad, need<close>> {};
struct event_simple : sor<key<'n', 'm', 'i'>, key<'m', 'c'>, key<'d', 'b'>, key<'b', 'p'>> {};
struct event_exception
    : sor<key<'d', 'e'>, key<'o', 'f'>, key<'b', 'r'>, key<'u', 'd'>, key<'n', 'm'>, key<'t', 's'>, key<'n', 'p'>, key<'s', 's'>,
          key<'g', 'p'>, key<'m', 'f'>, key<'a', 'c'>, key<'x', 'f'>> {};
struct event : sor<event_irq, event_pf, event_apf, event_simple, event_exception, call> {};
struct resched : seq<token<kw_with>, need<kw_need_resched>> {};
struct target : word {};

struct run_thread : seq<not_at<kw_until>, word> {};
struct run_step
    : seq<token<kw_run>, sor<eof, seq<opt<token<run_thread>>, need<kw_until>, pad, need<place>>>> {};
struct inject_step : seq<token<kw_inject>, need<event>, pad, opt<token<resched>>, need<kw_on>, pad,
                         need<target>, pad, opt<token<resched>>> {};
struct fail_count : number {};
struct fail_what : sor<seq<token<kw_next>, need<fail_count>>, kw_all> {};
struct fail_step : seq<token<kw_fail>, need<fail_what>, pad, need<kw_allocations>> {};
struct allow_step : seq<token<kw_allow>, need<kw_allocations>> {};
struct expect_step : seq<token<kw_expect>, need<predicate>, need<predicate_end>> {};
struct step : sor<run_step, inject_step, fail_step, allow_step, expect_step> {};
struct step_end : eof {};
struct step_sentence : seq<pad, need<step>, pad, need<step_end>> {};

// --- Decisions
// -----------------------------------------------------------------------------------------------
struct kw_at : key<'a', 't'> {};
struct kw_of : key<'o', 'f'> {};
struct kw_from : key<'f', 'r', 'o', 'm'> {};
struct nth : number {};
struct from_there_on : kw_from {};
struct owner : word {};
struct inject_at : seq<token<kw_inject>, need<event>, pad, opt<token<resched>>, need<kw_at>, pad, need<place>, pad,
                       opt<token<resched>>> {};
struct fail_nth : seq<token<kw_fail>, need<kw_allocations>, pad, opt<token<from_there_on>>, one<'#'>, pad, need<nth>, pad,
                      opt<token<kw_of>, need<owner>>> {};
struct decision : sor<inject_at, fail_nth> {};
struct decision_end : eof {};
struct decision_sentence : seq<pad, need<decision>, pad, need<decision_end>> {};

}  // namespace stackrig::scenario::grammar
