// Operations of a thread's program: `syscall lock 1 deep 12K`.
#include <fmt/format.h>

#include "vmm/scenario/context.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

constexpr const char* kthread_words = "a kthread may: call NAME, hog N, release N, up CPU, down CPU, exec, exit";

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
    if (plain == (kind != abi::ThreadKind::user)) {
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

/// What stands behind the call's name: a number, a thread (its guest id), a CPU, or nothing.
std::optional<std::uint32_t> argument(const Context& context, const SyntaxNode& call, abi::Sys number) {
    const SyntaxNode* digits = call.child(Syntax::number);
    const SyntaxNode* word = call.child(Syntax::call_argument);
    const SyntaxNode* given = digits != nullptr ? digits : word;
    const char* name = word_of(system_calls, number);
    switch (argument_of(number)) {
        case Argument::none:
            if (given != nullptr) {
                context.error(*given, fmt::format("{} takes no argument", name), "a depth is written: deep 6K");
                return std::nullopt;
            }
            return 0;
        case Argument::object: {
            if (word != nullptr) {
                context.error(*word, fmt::format("{} takes the number of a mutex or event queue", name), "write 0 to 15");
                return std::nullopt;
            }
            const auto value = digits == nullptr ? std::optional<std::uint64_t>(0)
                                                 : context.number(*digits, "a mutex or event queue", 0, most_objects - 1);
            return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
        }
        case Argument::thread: {
            if (word == nullptr) {
                context.error(call, fmt::format("which thread does {} mean?", name), suggestion("", context.names.thread_names()));
                return std::nullopt;
            }
            const auto thread = context.thread(*word);
            return thread ? std::optional(context.names.cpus + static_cast<std::uint32_t>(*thread)) : std::nullopt;
        }
        case Argument::cpu: break;
    }
    if (word == nullptr) {
        context.error(call, fmt::format("{} to which CPU?", name), "write cpu0, cpu1, ...");
        return std::nullopt;
    }
    const auto cpu = context.cpu(*word);
    return cpu ? std::optional(cpu->value()) : std::nullopt;
}

std::optional<abi::Op> cpu_operation(const Context& context, const SyntaxNode& word, const SyntaxNode& target, abi::ThreadKind kind) {
    const auto cpu = context.cpu(target);
    if (kind == abi::ThreadKind::user) {
        context.error(word, fmt::format("\"{}\" is for kthreads", context.text(word)), "give the thread kind = \"kthread\"");
        return std::nullopt;
    }
    if (!cpu) {
        return std::nullopt;
    }
    return abi::Op{*find_word(cpu_ops, context.text(word)), abi::Sys::null, abi::Via::syscall64, cpu->value(), 0, 0};
}

std::optional<abi::Op> simple(const Context& context, const SyntaxNode& word, abi::ThreadKind kind) {
    const abi::OpKind op = *find_word(simple_ops, context.text(word));
    if (kind == abi::ThreadKind::user && op == abi::OpKind::exec) {
        context.error(word, "\"exec\" makes a kthread a user thread, and this is one", "give the thread kind = \"kthread\"");
        return std::nullopt;
    }
    if (kind != abi::ThreadKind::user && !for_kthreads(op)) {
        context.error(word, fmt::format("\"{}\" is for user threads", context.text(word)), kthread_words);
        return std::nullopt;
    }
    return abi::Op{op, abi::Sys::null, abi::Via::syscall64, 0, 0, 0};
}

std::optional<abi::Op> counted(const Context& context, const SyntaxNode& word, const SyntaxNode& count,
                               abi::ThreadKind kind) {
    const abi::OpKind op = *find_word(counted_ops, context.text(word));
    const auto frames = context.number(count, "the number of frames", 1, most_hogged);
    if (kind == abi::ThreadKind::user) {
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
    const auto value = number ? argument(context, call, *number) : std::nullopt;
    const SyntaxNode* size = call.child(Syntax::size);
    const auto depth = size == nullptr ? std::optional<std::uint64_t>(0) : context.depth(*size);
    if (!via || !number || !value || !depth) {
        return std::nullopt;
    }
    return abi::Op{abi::OpKind::call, *number, *via, *value, static_cast<std::uint32_t>(*depth), 0};
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
    if (first.kind == Syntax::op_cpu) {
        return cpu_operation(context, first, tree->children.back(), kind);
    }
    return simple(context, first, kind);
}

namespace {

std::string render_argument(const abi::Op& op, const Names& names) {
    switch (argument_of(op.number)) {
        case Argument::none: return {};
        case Argument::object: return fmt::format(" {}", op.arg);
        case Argument::thread: return " " + names.threads[op.arg - names.cpus].name;
        case Argument::cpu: return fmt::format(" cpu{}", op.arg);
    }
    return {};
}

}  // namespace

std::string render(const abi::Op& op, abi::ThreadKind kind, const Names& names) {
    if (op.kind == abi::OpKind::hog || op.kind == abi::OpKind::release) {
        return fmt::format("{} {}", word_of(counted_ops, op.kind), op.arg);
    }
    if (op.kind == abi::OpKind::cpu_up || op.kind == abi::OpKind::cpu_down) {
        return fmt::format("{} cpu{}", word_of(cpu_ops, op.kind), op.arg);
    }
    if (op.kind != abi::OpKind::call) {
        return word_of(simple_ops, op.kind);
    }
    std::string out = kind != abi::ThreadKind::user ? kthread_call_word : word_of(call_words, op.via);
    out += fmt::format(" {}", word_of(system_calls, op.number));
    out += render_argument(op, names);
    if (op.depth != 0) {
        out += fmt::format(" deep {}", render_size(op.depth));
    }
    return out;
}

}  // namespace stackrig::scenario
