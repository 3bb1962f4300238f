// Places of a run: `A user`, `mark(enter.begin) #2`, `do_syscall_64+0x10`.
#include <fmt/format.h>

#include "vmm/scenario/context.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

using Kind = engine::Place::Kind;

constexpr Word<Kind> place_words[] = {{"user", Kind::user},
                                      {"sleeps", Kind::sleeps},
                                      {"exits", Kind::exits},
                                      {"idle", Kind::idle},
                                      {"end", Kind::end}};
constexpr std::uint64_t most_occurrences = 1'000'000;

std::vector<std::string> place_names(const Names& names) {
    std::vector<std::string> out = names.symbols.names();
    const std::vector<std::string> fixed = words(place_words);
    out.insert(out.end(), fixed.begin(), fixed.end());
    return out;
}

/// Builds one place from its node; `ok_` remembers whether anything was wrong.
class PlaceBuilder {
  public:
    PlaceBuilder(const Context& context, bool scheduled, std::optional<engine::ThreadIndex> inherited)
        : context_(context), scheduled_(scheduled), inherited_(inherited) {}

    std::optional<engine::Place> run(const SyntaxNode& node) {
        place_.text = context_.text(node);
        while (place_.text.ends_with(' ')) {
            place_.text.pop_back();
        }
        for (const SyntaxNode& child : node.children) {
            part(child);
        }
        if (ok_) {
            settle_thread(node);
        }
        return ok_ ? std::optional(std::move(place_)) : std::nullopt;
    }

  private:
    void part(const SyntaxNode& node) {
        switch (node.kind) {
            case Syntax::thread:
                explicit_thread(node);
                break;
            case Syntax::place_word:
                word(node);
                break;
            case Syntax::place_mark:
                mark(node.children.front());
                break;
            case Syntax::place_handler:
                handler(node.children.front());
                break;
            case Syntax::place_symbol:
                symbol(node);
                break;
            case Syntax::place_address:
                address(node);
                break;
            case Syntax::place_step:
                step(node);
                break;
            default:
                occurrence(node);
                break;
        }
    }

    void fail(const SyntaxNode& at, std::string text, std::string hint = {}) {
        context_.error(at, std::move(text), std::move(hint));
        ok_ = false;
    }

    void explicit_thread(const SyntaxNode& node) {
        place_.thread = context_.thread(node);
        ok_ = ok_ && place_.thread.has_value();
    }

    void word(const SyntaxNode& node) {
        place_.kind = *find_word(place_words, context_.text(node));
        if (place_.kind == Kind::end) {
            inspect_only(node);
        }
    }

    void mark(const SyntaxNode& node) {
        place_.kind = Kind::mark;
        const auto found = context_.mark(node);
        ok_ = ok_ && found.has_value();
        place_.mark = found.value_or(place_.mark);
    }

    void handler(const SyntaxNode& node) {
        place_.kind = Kind::handler;
        const auto found = find_handler(context_.text(node));
        if (!found) {
            const bool both = context_.text(node) == "irq";
            fail(node,
                 both ? "handler(irq) would be two places"
                      : fmt::format("unknown entry \"{}\"", context_.text(node)),
                 both ? "write handler(timer) or handler(device)"
                      : suggestion(context_.text(node), handler_names()));
            return;
        }
        place_.entry = *found;
        const char* label = abi::entry_class(*found).stub;
        const auto address = context_.names.symbols.find(label);
        if (!address) {
            fail(node,
                 fmt::format("the guest has no symbol {}: guest and program are not from one tree", label), "`ninja -C build` builds both");
        }
        place_.address = address.value_or(Gva{});
    }

    void symbol(const SyntaxNode& node) {
        place_.kind = Kind::symbol;
        const SyntaxNode& name = node.children.front();
        place_.symbol = context_.text(name);
        const auto address = context_.names.symbols.find(place_.symbol);
        if (!address) {
            unknown_symbol(name);
            return;
        }
        const SyntaxNode* offset = node.child(Syntax::offset);
        const auto bytes = offset == nullptr ? std::optional<std::uint64_t>(0)
                                             : context_.number(*offset, "an offset", 0, 0xffff);
        ok_ = ok_ && bytes.has_value();
        place_.address = *address + bytes.value_or(0);
    }

    void address(const SyntaxNode& node) {
        place_.kind = Kind::symbol;
        place_.symbol = context_.text(node);
        const auto value = read_number(place_.symbol);
        if (!value) {
            fail(node, fmt::format("{} is no address", place_.symbol));
        }
        place_.address = Gva(value.value_or(0));
    }

    void unknown_symbol(const SyntaxNode& name) {
        if (context_.names.thread(place_.symbol)) {
            fail(name, fmt::format("\"{}\" is a thread, not a place", place_.symbol),
                 fmt::format("write {0} user, {0} sleeps or {0} exits", place_.symbol));
            return;
        }
        const bool is_mark = find_word(marks, place_.symbol).has_value();
        const auto meant = is_mark ? fmt::format("mark({})", place_.symbol) : nearest(place_.symbol, place_names(context_.names));
        fail(name,
             fmt::format("unknown place \"{}\": neither a word for places nor a symbol of the guest",
                         place_.symbol),
             meant
                 ? fmt::format("did you mean \"{}\"?", *meant)
                 : "places: user, A user, A sleeps, A exits, idle, mark(NAME), handler(ENTRY), SYMBOL+0x10");
    }

    void step(const SyntaxNode& node) {
        place_.kind = Kind::step;
        const std::size_t steps = context_.names.steps;
        if (scheduled_) {
            inspect_only(node);
        } else {
            occurrence_from(node.children.front(), "a step", steps);
        }
    }

    void inspect_only(const SyntaxNode& node) {
        if (scheduled_) {
            fail(node,
                 fmt::format("\"{}\" is no place to run to: it is for inspect --at", context_.text(node)),
                 "a schedule ends with \"run\", which runs until nothing more can happen");
        }
    }

    void occurrence(const SyntaxNode& node) { occurrence_from(node, "an occurrence", most_occurrences); }

    void occurrence_from(const SyntaxNode& node, const char* what, std::uint64_t most) {
        const auto value = context_.number(node, what, 1, most);
        ok_ = ok_ && value.has_value();
        place_.occurrence = static_cast<std::uint32_t>(value.value_or(1));
    }

    void settle_thread(const SyntaxNode& node) {
        const bool of_thread =
            place_.kind != Kind::idle && place_.kind != Kind::end && place_.kind != Kind::step;
        if (!of_thread && place_.thread) {
            fail(node.children.front(), "this place belongs to no thread", "leave the thread out");
            return;
        }
        if (of_thread && !place_.thread) {
            place_.thread = inherited_;
        }
        if ((place_.kind == Kind::sleeps || place_.kind == Kind::exits) && !place_.thread) {
            fail(node, fmt::format("which thread \"{}\"?", place_.text),
                 fmt::format("write A {}, where A is a thread", place_.text));
        }
        if (place_.kind == Kind::user && place_.thread &&
            !context_.names.threads[*place_.thread].has_user_mode()) {
            fail(node, fmt::format("{} is a kthread: it never is in user mode",
                                   context_.names.threads[*place_.thread].name));
        }
    }

    const Context& context_;
    bool scheduled_;
    std::optional<engine::ThreadIndex> inherited_;
    engine::Place place_;
    bool ok_ = true;
};

std::string render_symbol(const engine::Place& place, const Names& names) {
    const auto base = names.symbols.find(place.symbol);
    if (!base) {
        return fmt::format("{}", place.address);
    }
    const std::uint64_t offset = place.address - *base;
    return offset == 0 ? place.symbol : fmt::format("{}+{:#x}", place.symbol, offset);
}

std::string render_body(const engine::Place& place, const Names& names) {
    switch (place.kind) {
        case Kind::mark:
            return fmt::format("mark({})", word_of(marks, place.mark));
        case Kind::handler:
            return fmt::format("handler({})", abi::entry_class(place.entry).name);
        case Kind::symbol:
            return render_symbol(place, names);
        case Kind::step:
            return fmt::format("step {}", place.occurrence);
        default:
            return word_of(place_words, place.kind);
    }
}

}  // namespace

std::optional<engine::Place> build_place(const Context& context, const SyntaxNode& place, bool scheduled,
                                         std::optional<engine::ThreadIndex> inherited) {
    return PlaceBuilder(context, scheduled, inherited).run(place);
}

tl::expected<engine::Place, Diagnostics> parse_place(std::string_view text, const Names& names,
                                                     std::string_view origin) {
    const SourceText source{std::string(origin), std::string(text)};
    Reporter reporter(source);
    const Piece piece = plain_piece(text);
    const Context context{piece, names, reporter};
    const auto tree = context.parse(SentenceKind::place);
    auto place = tree ? build_place(context, tree->children.front(), false, std::nullopt) : std::nullopt;
    if (!place) {
        return tl::make_unexpected(reporter.take());
    }
    return std::move(*place);
}

std::string render(const engine::Place& place, const Names& names) {
    std::string out = place.thread ? names.threads[*place.thread].name + " " : "";
    out += render_body(place, names);
    if (place.occurrence != 1 && place.kind != Kind::step) {
        out += fmt::format(" #{}", place.occurrence);
    }
    return out;
}

}  // namespace stackrig::scenario
