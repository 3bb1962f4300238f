// Threads, CPUs, marks and numbers in sentences.
#include "vmm/scenario/context.hpp"

#include <fmt/format.h>
#include <charconv>
#include <limits>

#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {

std::optional<std::uint64_t> read_number(std::string_view text) {
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    if (hex) {
        text.remove_prefix(2);
    }
    std::uint64_t value = 0;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
    if (status != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

std::optional<std::uint64_t> read_size(std::string_view text) {
    unsigned shift = 0;
    if (text.ends_with('K')) {
        shift = 10;
    } else if (text.ends_with('M')) {
        shift = 20;
    }
    if (shift != 0) {
        text.remove_suffix(1);
    }
    const auto value = read_number(text);
    if (!value || *value > (std::numeric_limits<std::uint64_t>::max() >> shift)) {
        return std::nullopt;
    }
    return *value << shift;
}

std::optional<SyntaxNode> Context::parse(SentenceKind kind) const {
    auto tree = parse_syntax(kind, piece.text);
    if (tree) {
        return std::move(*tree);
    }
    const SyntaxError& e = tree.error();
    const std::string_view found = std::string_view(piece.text).substr(e.begin, e.end - e.begin);
    reporter.error(
        piece.span(e.begin, e.end), e.text,
        e.meant.empty() ? suggestion(found, e.wanted) : fmt::format("did you mean \"{}\"?", e.meant));
    return std::nullopt;
}

std::optional<engine::ThreadIndex> Context::thread(const SyntaxNode& node) const {
    const auto index = names.thread(text(node));
    if (!index) {
        error(node, fmt::format("unknown thread \"{}\"", text(node)),
              suggestion(text(node), names.thread_names()));
    }
    return index;
}

std::optional<CpuId> Context::cpu(const SyntaxNode& node) const {
    const std::string_view word = text(node);
    if (!looks_like_cpu(word)) {
        error(node, fmt::format("\"{}\" is no CPU", word), "CPUs are written cpu0, cpu1, ...");
        return std::nullopt;
    }
    const auto value = read_number(word.substr(3));
    if (!value || *value >= names.cpus) {
        error(node, fmt::format("there is no {}", word),
              names.cpus == 1 ? std::string("the guest has one CPU, cpu0: write cpus = 2 in [guest]")
                              : fmt::format("the guest has cpu0 to cpu{}", names.cpus - 1));
        return std::nullopt;
    }
    return CpuId(static_cast<std::uint32_t>(*value));
}

std::optional<abi::Mark> Context::mark(const SyntaxNode& node) const {
    const auto found = find_word(marks, text(node));
    if (!found) {
        std::string hint = suggestion(text(node), words(marks));
        error(node, fmt::format("unknown mark \"{}\"", text(node)),
              hint.empty() ? "the marks are listed in docs/scenario-format.md" : std::move(hint));
    }
    return found;
}

std::optional<std::uint64_t> Context::number(const SyntaxNode& node, const char* what, std::uint64_t least,
                                             std::uint64_t most) const {
    const auto value = read_number(text(node));
    if (!value || *value < least || *value > most) {
        error(node, fmt::format("{} must be {} to {}, not {}", what, least, most, text(node)));
        return std::nullopt;
    }
    return value;
}

std::optional<std::uint64_t> Context::depth(const SyntaxNode& node) const {
    const auto value = read_size(text(node));
    if (!value) {
        error(node, fmt::format("\"{}\" is no size", text(node)), "sizes are bytes: 512, 6K, 1M");
        return std::nullopt;
    }
    if (*value > deepest) {
        error(node, fmt::format("a depth of {} does not fit: the limit is 15K", text(node)),
              "a stack has 16K, and the frames of entry and handler need some of it");
        return std::nullopt;
    }
    return value;
}

}  // namespace stackrig::scenario
