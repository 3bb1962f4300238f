// What the readers of one sentence share: its tree, its names, and where to report. Private to vmm/scenario.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/scenario/nearest.hpp"
#include "vmm/scenario/sentence.hpp"
#include "vmm/scenario/syntax.hpp"

namespace stackrig::scenario {

struct Context {
    const Piece& piece;
    const Names& names;
    Reporter& reporter;

    [[nodiscard]] std::string_view text(const SyntaxNode& node) const { return node.text(piece.text); }
    void error(const SyntaxNode& at, std::string message, std::string hint = {}) const {
        reporter.error(piece.span(at.begin, at.end), std::move(message), std::move(hint));
    }
    /// The tree, or nothing and the syntax error reported.
    [[nodiscard]] std::optional<SyntaxNode> parse(SentenceKind kind) const;

    /// Names and numbers that several sentences use; each reports what is wrong at its node.
    [[nodiscard]] std::optional<engine::ThreadIndex> thread(const SyntaxNode& node) const;
    [[nodiscard]] std::optional<CpuId> cpu(const SyntaxNode& node) const;
    [[nodiscard]] std::optional<abi::Mark> mark(const SyntaxNode& node) const;
    /// `what` names the number in the message: "an occurrence".
    [[nodiscard]] std::optional<std::uint64_t> number(const SyntaxNode& node, const char* what,
                                                      std::uint64_t least, std::uint64_t most) const;
    [[nodiscard]] std::optional<std::uint64_t> depth(const SyntaxNode& node) const;
};

/// `scheduled`: in a schedule, where `step N` and `end` make no sense. `inherited`: the thread of `run A
/// until`.
[[nodiscard]] std::optional<engine::Place> build_place(const Context& context, const SyntaxNode& place,
                                                       bool scheduled,
                                                       std::optional<engine::ThreadIndex> inherited);
/// `predicate` node -> expression; a predicate without facts is an error.
[[nodiscard]] std::optional<Predicate> build_predicate(const Context& context, const SyntaxNode& predicate);
/// `call` node -> operation for a thread of that kind.
[[nodiscard]] std::optional<abi::Op> build_call(const Context& context, const SyntaxNode& call,
                                                abi::ThreadKind kind);

/// `event_*` or `call` node -> event.
[[nodiscard]] std::optional<engine::Event> build_event(const Context& context, const SyntaxNode& event);
/// Takes in the `resched` children of `node`; false when one of them makes no sense, which is reported.
[[nodiscard]] bool add_resched(const Context& context, const SyntaxNode& node,
                               std::optional<engine::Event>& event);

}  // namespace stackrig::scenario
