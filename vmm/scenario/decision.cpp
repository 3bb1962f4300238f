// Decisions: `inject nmi at A do_syscall_64+0x10 #2`, `fail allocation #3 of A`.
#include <fmt/format.h>

#include "vmm/scenario/context.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

using engine::EventKind;
using What = decltype(engine::Decision::what);

constexpr std::uint64_t most_allocations = 1'000'000;

/// At any boundary only what comes from outside, or what KVM can raise there, makes sense.
bool fits_boundary(const Context& context, const SyntaxNode& node, const engine::Event& event) {
    if (event.kind == EventKind::call || (event.kind == EventKind::page_fault && event.address == Gva{})) {
        context.error(node, fmt::format("{} is made by a thread's own instruction, not put at a boundary", event.text),
                      "write it into the thread's program, or into the schedule: inject ... on A");
        return false;
    }
    return true;
}

std::optional<What> inject_at(const Context& context, const SyntaxNode& node) {
    const SyntaxNode& event_node = node.children.front();
    const SyntaxNode& place_node = *node.child(Syntax::place);
    auto event = build_event(context, event_node);
    const bool fits = !event || fits_boundary(context, event_node, *event);
    const bool timely = add_resched(context, node, event);
    const auto place = build_place(context, place_node, true, std::nullopt);
    if (place && place->kind != engine::Place::Kind::symbol) {
        context.error(place_node, "a decision names one instruction", "write A do_syscall_64+0x10 #2");
        return std::nullopt;
    }
    if (!event || !place || !fits || !timely) {
        return std::nullopt;
    }
    return engine::InjectAt{*place, *event};
}

std::optional<What> fail_nth(const Context& context, const SyntaxNode& node) {
    const auto nth = context.number(*node.child(Syntax::nth), "an allocation", 1, most_allocations);
    const SyntaxNode* owner = node.child(Syntax::thread);
    const auto thread = owner == nullptr ? std::nullopt : context.thread(*owner);
    if (!nth || (owner != nullptr && !thread)) {
        return std::nullopt;
    }
    return engine::FailAllocation{thread, static_cast<std::uint32_t>(*nth), node.child(Syntax::from_there_on) != nullptr};
}

}  // namespace

std::optional<engine::Decision> read_decision(const Piece& piece, const Names& names, Reporter& reporter) {
    const Context context{piece, names, reporter};
    const auto tree = context.parse(SentenceKind::decision);
    if (!tree) {
        return std::nullopt;
    }
    const SyntaxNode& node = tree->children.front();
    auto what = node.kind == Syntax::inject_at ? inject_at(context, node) : fail_nth(context, node);
    return what ? std::optional(engine::Decision{std::move(*what), piece.text}) : std::nullopt;
}

std::string render(const engine::Decision& decision, const Names& names) {
    if (const auto* inject = std::get_if<engine::InjectAt>(&decision.what)) {
        return fmt::format("inject {}{} at {}", render(inject->event, names), inject->event.need_resched ? " with need_resched" : "",
                           render(inject->at, names));
    }
    const auto& failure = std::get<engine::FailAllocation>(decision.what);
    return fmt::format("fail allocation{} #{}{}", failure.and_all_later ? "s from" : "", failure.nth,
                       failure.thread ? " of " + names.threads[*failure.thread].name : "");
}

}  // namespace stackrig::scenario
