// Predicates: syntax tree -> expression, and back to text.
#include <fmt/format.h>

#include "vmm/scenario/context.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

using Op = Predicate::Op;

constexpr Word<Op> comparisons[] = {{"==", Op::equal},         {"!=", Op::not_equal}, {"<=", Op::less_equal},
                                    {">=", Op::greater_equal}, {"<", Op::less},       {">", Op::greater}};

constexpr const char* argument_names[] = {"nothing", "a CPU", "a thread", "a mark"};
constexpr const char* argument_examples[] = {"", "(cpu0)", "(A)", "(enter.begin)"};

Predicate branch(Op op, std::vector<Predicate> parts) {
    Predicate out;
    out.op = op;
    out.parts = std::move(parts);
    return out;
}

bool read_argument(const Context& context, const FactWord& word, const SyntaxNode& node, Fact& fact) {
    switch (word.argument) {
        case Fact::Argument::cpu: {
            const auto cpu = context.cpu(node);
            fact.cpu = cpu.value_or(CpuId{});
            return cpu.has_value();
        }
        case Fact::Argument::thread: {
            const auto thread = context.thread(node);
            fact.thread = thread.value_or(0);
            return thread.has_value();
        }
        case Fact::Argument::mark: {
            const auto mark = context.mark(node);
            fact.mark = mark.value_or(fact.mark);
            return mark.has_value();
        }
        case Fact::Argument::none:
            break;
    }
    context.error(node, fmt::format("\"{}\" takes no argument", word.text));
    return false;
}

std::optional<Fact> build_fact(const Context& context, const SyntaxNode& node) {
    const SyntaxNode& name = node.children.front();
    const auto* word = std::find_if(std::begin(fact_words), std::end(fact_words),
                                    [&](const FactWord& w) { return context.text(name) == w.text; });
    if (word == std::end(fact_words)) {
        context.error(name, fmt::format("unknown fact \"{}\"", context.text(name)),
                      suggestion(context.text(name), words(fact_words)));
        return std::nullopt;
    }
    Fact fact;
    fact.kind = word->value;
    const SyntaxNode* argument = node.child(Syntax::fact_argument);
    if (argument != nullptr) {
        return read_argument(context, *word, *argument, fact) ? std::optional(fact) : std::nullopt;
    }
    if (word->argument == Fact::Argument::none) {
        return fact;
    }
    const auto kind = static_cast<std::size_t>(word->argument);
    context.error(name, fmt::format("\"{}\" needs {}", word->text, argument_names[kind]),
                  fmt::format("write {}{}", word->text, argument_examples[kind]));
    return std::nullopt;
}

std::optional<Predicate> build(const Context& context, const SyntaxNode& node);

/// All parts are built, so that each is reported, even when one is wrong.
std::optional<std::vector<Predicate>> build_parts(const Context& context, const SyntaxNode& node) {
    std::vector<Predicate> parts;
    bool ok = true;
    for (const SyntaxNode& child : node.children) {
        if (child.kind == Syntax::compare_op) {
            continue;
        }
        auto part = build(context, child);
        ok = ok && part.has_value();
        if (part) {
            parts.push_back(std::move(*part));
        }
    }
    return ok ? std::optional(std::move(parts)) : std::nullopt;
}

std::optional<Predicate> build_branch(const Context& context, const SyntaxNode& node, Op op) {
    auto parts = build_parts(context, node);
    if (!parts) {
        return std::nullopt;
    }
    return parts->size() == 1 && op != Op::negation ? std::move(parts->front())
                                                    : branch(op, std::move(*parts));
}

std::optional<Predicate> build(const Context& context, const SyntaxNode& node) {
    Predicate leaf;
    switch (node.kind) {
        case Syntax::integer: {
            const auto value = context.number(node, "a number", 0, 0x7fffffffffffffff);
            leaf.value = static_cast<std::int64_t>(value.value_or(0));
            return value ? std::optional(leaf) : std::nullopt;
        }
        case Syntax::fact: {
            const auto fact = build_fact(context, node);
            leaf.op = Op::fact;
            leaf.fact = fact.value_or(Fact{});
            return fact ? std::optional(leaf) : std::nullopt;
        }
        case Syntax::negation:
            return build_branch(context, node, Op::negation);
        case Syntax::or_list:
            return build_branch(context, node, Op::either);
        case Syntax::and_list:
            return build_branch(context, node, Op::both);
        default:
            break;  // comparison
    }
    const SyntaxNode* op = node.child(Syntax::compare_op);
    return build_branch(context, node,
                        op == nullptr ? Op::equal : *find_word(comparisons, context.text(*op)));
}

int precedence(Op op) {
    switch (op) {
        case Op::either:
            return 0;
        case Op::both:
            return 1;
        case Op::integer:
        case Op::fact:
        case Op::negation:
            return 3;
        default:
            return 2;
    }
}

std::string render_part(const Predicate& part, int at_least, const Names& names) {
    const std::string text = render(part, names);
    return precedence(part.op) < at_least ? fmt::format("({})", text) : text;
}

}  // namespace

std::optional<Predicate> build_predicate(const Context& context, const SyntaxNode& node) {
    auto predicate = build(context, node.children.front());
    if (predicate && facts_of(*predicate).empty()) {
        context.error(node, "this predicate asks about no fact: it is always the same",
                      "facts: reserve(cpu0), cache(cpu0), mapped(A), asleep(A), leaked, ...");
        return std::nullopt;
    }
    return predicate;
}

std::optional<CheckedPredicate> read_predicate(const Piece& piece, const Names& names, Reporter& reporter) {
    const Context context{piece, names, reporter};
    const auto tree = context.parse(SentenceKind::predicate);
    auto predicate = tree ? build_predicate(context, tree->children.front()) : std::nullopt;
    if (!predicate) {
        return std::nullopt;
    }
    return CheckedPredicate{std::move(*predicate), piece.text, piece.whole()};
}

std::string render(const Fact& fact, const Names& names) {
    const auto* word = std::find_if(std::begin(fact_words), std::end(fact_words),
                                    [&](const FactWord& w) { return w.value == fact.kind; });
    switch (word->argument) {
        case Fact::Argument::cpu:
            return fmt::format("{}({})", word->text, fact.cpu);
        case Fact::Argument::thread:
            return fmt::format("{}({})", word->text, names.threads.at(fact.thread).name);
        case Fact::Argument::mark:
            return fmt::format("{}({})", word->text, word_of(marks, fact.mark));
        case Fact::Argument::none:
            break;
    }
    return word->text;
}

std::string render(const Predicate& p, const Names& names) {
    switch (p.op) {
        case Op::integer:
            return fmt::format("{}", p.value);
        case Op::fact:
            return render(p.fact, names);
        case Op::negation:
            return "!" + render_part(p.parts[0], 3, names);
        case Op::either:
        case Op::both: {
            std::string out;
            for (const Predicate& part : p.parts) {
                out += out.empty() ? "" : (p.op == Op::both ? " && " : " || ");
                out += render_part(part, precedence(p.op) + 1, names);
            }
            return out;
        }
        default:
            break;
    }
    return fmt::format("{} {} {}", render_part(p.parts[0], 3, names), word_of(comparisons, p.op),
                       render_part(p.parts[1], 3, names));
}

}  // namespace stackrig::scenario
