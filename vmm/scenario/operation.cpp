// Operations of a thread's program: `syscall lock 1 deep 12K`.
#include <fmt/format.h>

#include "vmm/scenario/context.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

constexpr const char* kthread_words = "a kthread may: call NAME, hog N, release N, exit";

std::optional<abi::Sys> system_call(const Context& context, const SyntaxNode& name) {
    const auto found = find_word(system_calls, context.text(name));
    if (!found) {
        context.error(name, fmt::format("unknown system call \"{}\"", context.text(name)),
                      suggestion(context.text(name), words(system_calls)));
    }
    return found;
}

std::optional<abi::Via> call_entry(const Context& context, const SyntaxNode& via, abi::ThreadKind kind) {
    const std::string_view word = context.text(via);
    const bool plain = word == kthread_call_word;
    if (plain == (kind == abi::ThreadKind::kthread)) {
        return plain ? abi::Via::syscall64 : *find_word(call_words, word);
    }
    if (plain) {
        context.error(via, "\"call\" is for kthreads: a user thread enters the kernel",
                      "write syscall, syscall32 or int80");
    } else {
        context.error(via, fmt::format("a kthread is in the kernel already: it cannot \"{}\"", word),
                      "write call");
    }
    return std::nullopt;
}

std::optional<std::uint32_t> object(const Context& context, const SyntaxNode& call, abi::Sys number) {
    const SyntaxNode* argument = call.child(Syntax::number);
    if (argument == nullptr) {
        return 0;
    }
    if (!takes_object(number)) {
        context.error(*argument, fmt::format("{} takes no argument", word_of(system_calls, number)),
                      "a depth is written: deep 6K");
        return std::nullopt;
    }
    const auto value = context.number(*argument, "a mutex or event queue", 0, most_objects - 1);
    return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
}

std::optional<abi::Op> simple(const Context& context, const SyntaxNode& word, abi::ThreadKind kind) {
    const abi::OpKind op = *find_word(simple_ops, context.text(word));
    if (kind == abi::ThreadKind::kthread && op != abi::OpKind::end) {
        context.error(word, fmt::format("\"{}\" is for user threads", context.text(word)), kthread_words);
        return std::nullopt;
    }
    return abi::Op{op, abi::Sys::null, abi::Via::syscall64, 0, 0, 0};
}

std::optional<abi::Op> counted(const Context& context, const SyntaxNode& word, const SyntaxNode& count,
                               abi::ThreadKind kind) {
    const abi::OpKind op = *find_word(counted_ops, context.text(word));
    const auto frames = context.number(count, "the number of frames", 1, most_hogged);
    if (kind != abi::ThreadKind::kthread) {
        context.error(word, fmt::format("\"{}\" is for kthreads", context.text(word)),
                      "give the thread kind = \"kthread\", or use another thread for it");
        return std::nullopt;
    }
    if (!frames) {
        return std::nullopt;
    }
    return abi::Op{op, abi::Sys::null, abi::Via::syscall64, static_cast<std::uint32_t>(*frames), 0, 0};
}

std::string render_size(std::uint64_t bytes) {
    return bytes % 1024 == 0 ? fmt::format("{}K", bytes / 1024) : fmt::format("{}", bytes);
}

}  // namespace

std::optional<abi::Op> build_call(const Context& context, const SyntaxNode& call, abi::ThreadKind kind) {
    const auto via = call_entry(context, *call.child(Syntax::call_via), kind);
    const auto number = system_call(context, *call.child(Syntax::call_name));
    const auto argument = number ? object(context, call, *number) : std::nullopt;
    const SyntaxNode* size = call.child(Syntax::size);
    const auto depth = size == nullptr ? std::optional<std::uint64_t>(0) : context.depth(*size);
    if (!via || !number || !argument || !depth) {
        return std::nullopt;
    }
    return abi::Op{abi::OpKind::call, *number, *via, *argument, static_cast<std::uint32_t>(*depth), 0};
}

std::optional<abi::Op> read_operation(const Piece& piece, abi::ThreadKind kind, const Names& names,
                                      Reporter& reporter) {
    const Context context{piece, names, reporter};
    const auto tree = context.parse(SentenceKind::operation);
    if (!tree) {
        return std::nullopt;
    }
    const SyntaxNode& first = tree->children.front();
    if (first.kind == Syntax::call) {
        return build_call(context, first, kind);
    }
    if (first.kind == Syntax::op_counted) {
        return counted(context, first, tree->children.back(), kind);
    }
    return simple(context, first, kind);
}

std::string render(const abi::Op& op, abi::ThreadKind kind) {
    if (op.kind == abi::OpKind::hog || op.kind == abi::OpKind::release) {
        return fmt::format("{} {}", word_of(counted_ops, op.kind), op.arg);
    }
    if (op.kind != abi::OpKind::call) {
        return word_of(simple_ops, op.kind);
    }
    std::string out = kind == abi::ThreadKind::kthread ? kthread_call_word : word_of(call_words, op.via);
    out += fmt::format(" {}", word_of(system_calls, op.number));
    if (takes_object(op.number)) {
        out += fmt::format(" {}", op.arg);
    }
    if (op.depth != 0) {
        out += fmt::format(" deep {}", render_size(op.depth));
    }
    return out;
}

}  // namespace stackrig::scenario
