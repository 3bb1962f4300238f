// Steps of a schedule: `run A until mark(sleep)`, `inject irq(timer) on cpu0 with need_resched`.
#include <fmt/format.h>

#include "vmm/scenario/context.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

using engine::Event;
using engine::EventKind;
using What = decltype(engine::Step::what);

constexpr std::uint32_t user_read_fault =
    4;  ///< #PF error code: user mode, read, not present (SDM 5.12, "Page-Fault Exception")
constexpr std::uint64_t user_half_end = 0x0000800000000000;
constexpr std::uint64_t kernel_half = 0xffff800000000000;

std::optional<Vector> irq_vector(const Context& context, const SyntaxNode& source) {
    const std::string_view text = context.text(source);
    if (const auto named = find_word(irq_names, text)) {
        return Vector(*named);
    }
    const auto value = read_number(text);
    for (const auto& named : irq_names) {
        if (value == named.value) {
            return Vector(named.value);
        }
    }
    if (value) {
        context.error(source, fmt::format("the guest has no interrupt with vector {}", text),
                      fmt::format("timer has {:#x}, device {:#x}", abi::timer_vector, abi::device_vector));
    } else {
        context.error(source, fmt::format("unknown interrupt \"{}\"", text),
                      suggestion(text, words(irq_names)));
    }
    return std::nullopt;
}

/// Address 0 is left out: Event uses it for "wherever the thread's stub faults".
bool fault_address(const Context& context, const SyntaxNode& node, Event& event) {
    const auto value = read_number(context.text(node));
    if (!value || *value == 0 || (*value >= user_half_end && *value < kernel_half)) {
        context.error(
            node, fmt::format("{} is no address to fault at", context.text(node)),
            "user addresses are 0x1 to 0x7fffffffffff, kernel addresses start at 0xffff800000000000");
        return false;
    }
    event.address = Gva(*value);
    event.error_code = *value < user_half_end ? user_read_fault : 0;
    return true;
}

using Target = std::variant<CpuId, engine::ThreadIndex>;

/// Events that come from outside, whatever runs on the CPU.
bool asynchronous(EventKind kind) {
    return kind == EventKind::irq || kind == EventKind::nmi || kind == EventKind::machine_check || kind == EventKind::async_page_fault;
}

/// An event on a CPU is put there whatever the CPU does; one on a thread is caused by the thread's own user
/// code.
bool fits_cpu(const Context& context, const SyntaxNode& node, const SyntaxNode& event_node,
              const Event& event) {
    if (event.kind == EventKind::call) {
        context.error(node, "a system call is made by a thread, not by a CPU",
                      suggestion("", context.names.thread_names()));
        return false;
    }
    if (event.kind == EventKind::page_fault && event_node.children.empty()) {
        context.error(event_node, "a page fault on a CPU needs its address", "write pf(0x40000000)");
        return false;
    }
    return true;
}

bool fits_thread(const Context& context, const SyntaxNode& node, const SyntaxNode& event_node,
                 const Event& event, engine::ThreadIndex thread) {
    if (asynchronous(event.kind)) {
        context.error(node, fmt::format("{} comes to a CPU, not to a thread", event.text),
                      fmt::format("write \"run {} until user\", then inject it on cpu0", context.text(node)));
        return false;
    }
    if (!context.names.threads[thread].has_user_mode()) {
        context.error(node, fmt::format("{} is a kthread: it has no user mode to be in", context.text(node)),
                      event.kind == EventKind::call ? "a kthread's calls stand in its program"
                                                    : "on a CPU (cpu0) the event hits whatever runs there");
        return false;
    }
    if (event.kind == EventKind::page_fault && !event_node.children.empty()) {
        context.error(event_node, "a thread faults in its own demand area, at an address nobody chooses",
                      "write pf without an address, or inject it on cpu0");
        return false;
    }
    return true;
}

std::optional<Target> build_target(const Context& context, const SyntaxNode& node,
                                   const SyntaxNode& event_node, const std::optional<Event>& event) {
    if (looks_like_cpu(context.text(node))) {
        const auto cpu = context.cpu(node);
        const bool fits = !event || fits_cpu(context, node, event_node, *event);
        return cpu && fits ? std::optional<Target>(*cpu) : std::nullopt;
    }
    const auto thread = context.thread(node);
    const bool fits = !thread || !event || fits_thread(context, node, event_node, *event, *thread);
    return thread && fits ? std::optional<Target>(*thread) : std::nullopt;
}

std::optional<What> inject(const Context& context, const SyntaxNode& node) {
    const SyntaxNode& event_node = node.children.front();
    auto event = build_event(context, event_node);
    const auto target = build_target(context, *node.child(Syntax::target), event_node, event);
    const bool timely = add_resched(context, node, event);
    if (!event || !target || !timely) {
        return std::nullopt;
    }
    return engine::Inject{*event, *target};
}

/// Stands in for a misnamed thread, so that the rest of the sentence is still checked.
std::optional<engine::ThreadIndex> some_user_thread(const Names& names) {
    const auto found = std::find_if(names.threads.begin(), names.threads.end(),
                                    [](const ThreadName& t) { return t.kind == abi::ThreadKind::user; });
    return found == names.threads.end()
               ? std::nullopt
               : std::optional(static_cast<engine::ThreadIndex>(found - names.threads.begin()));
}

std::optional<What> run(const Context& context, const SyntaxNode& node) {
    const SyntaxNode* place_node = node.child(Syntax::place);
    if (place_node == nullptr) {
        return engine::RunToQuiet{};
    }
    const SyntaxNode* thread_node = node.child(Syntax::thread);
    if (thread_node != nullptr && looks_like_cpu(context.text(*thread_node))) {
        const auto cpu = context.cpu(*thread_node);
        auto there = build_place(context, *place_node, true, std::nullopt);
        if (!cpu || !there) {
            return std::nullopt;
        }
        there->cpu = cpu;
        return engine::RunUntil{std::nullopt, cpu, *there};
    }
    const auto thread = thread_node == nullptr ? std::nullopt : context.thread(*thread_node);
    const bool misnamed = thread_node != nullptr && !thread;
    const auto place =
        build_place(context, *place_node, true, misnamed ? some_user_thread(context.names) : thread);
    if (!place || misnamed) {
        return std::nullopt;
    }
    return engine::RunUntil{thread, std::nullopt, *place};
}

std::optional<What> fail_allocations(const Context& context, const SyntaxNode& node) {
    const SyntaxNode* count = node.child(Syntax::fail_count);
    if (count == nullptr) {
        return engine::AllocPolicy{engine::AllocPolicy::Kind::fail_all, 0};
    }
    const auto value = context.number(*count, "the number of allocations", 1, 1'000'000);
    if (!value) {
        return std::nullopt;
    }
    return engine::AllocPolicy{engine::AllocPolicy::Kind::fail_next, static_cast<std::uint32_t>(*value)};
}

std::optional<What> expect(const Context& context, const SyntaxNode& node,
                           std::vector<CheckedPredicate>& expects) {
    const SyntaxNode& body = *node.child(Syntax::predicate);
    auto predicate = build_predicate(context, body);
    if (!predicate) {
        return std::nullopt;
    }
    expects.push_back(
        {std::move(*predicate), std::string(context.text(body)), context.piece.span(body.begin, body.end)});
    return engine::Expect{expects.size() - 1};
}

std::string render_target(const Target& target, const Names& names) {
    if (const auto* cpu = std::get_if<CpuId>(&target)) {
        return fmt::format("{}", *cpu);
    }
    return names.threads[std::get<engine::ThreadIndex>(target)].name;
}

std::string render_run(const engine::RunUntil& run, const Names& names) {
    engine::Place place = run.place;
    if (place.thread == run.thread) {
        place.thread.reset();
    }
    const std::string who = run.thread ? names.threads[*run.thread].name + " " : run.cpu ? fmt::format("{} ", *run.cpu) : "";
    return fmt::format("run {}until {}", who, render(place, names));
}

std::string render_policy(const engine::AllocPolicy& policy) {
    switch (policy.kind) {
        case engine::AllocPolicy::Kind::fail_all:
            return "fail all allocations";
        case engine::AllocPolicy::Kind::fail_next:
            return fmt::format("fail next {} allocation{}", policy.count, policy.count == 1 ? "" : "s");
        case engine::AllocPolicy::Kind::allow:
            break;
    }
    return "allow allocations";
}

}  // namespace

std::optional<Event> build_event(const Context& context, const SyntaxNode& node) {
    Event event;
    event.text = context.text(node);
    while (event.text.ends_with(' ')) {
        event.text.pop_back();
    }
    if (node.kind == Syntax::event_irq) {
        const auto vector = irq_vector(context, node.children.front());
        event.vector = vector.value_or(Vector{0});
        return vector ? std::optional(event) : std::nullopt;
    }
    if (node.kind == Syntax::event_pf) {
        event.kind = EventKind::page_fault;
        if (node.children.empty()) {
            return event;
        }
        return fault_address(context, node.children.front(), event) ? std::optional(event) : std::nullopt;
    }
    if (node.kind == Syntax::call) {
        event.kind = EventKind::call;
        const auto call = build_call(context, node, abi::ThreadKind::user);
        event.call = call.value_or(abi::Op{});
        return call ? std::optional(event) : std::nullopt;
    }
    if (node.kind == Syntax::event_apf) {
        event.kind = EventKind::async_page_fault;
        const auto token = context.number(node.children.front(), "the event queue that says when the page is there", 0, most_objects - 1);
        event.address = Gva(token.value_or(0));
        return token ? std::optional(event) : std::nullopt;
    }
    if (node.kind == Syntax::event_exception) {
        event.kind = EventKind::exception;
        event.vector = Vector(*find_word(exceptions, context.text(node)));
        return event;
    }
    event.kind = *find_word(simple_events, context.text(node));
    return event;
}

bool add_resched(const Context& context, const SyntaxNode& node, std::optional<Event>& event) {
    bool ok = true;
    bool resched = false;
    for (const SyntaxNode& child : node.children) {
        if (child.kind != Syntax::resched) {
            continue;
        }
        if (resched) {
            context.error(child, "\"with need_resched\" stands here twice");
            ok = false;
        } else if (event && (event->kind != EventKind::irq || event->vector != Vector(abi::timer_vector))) {
            context.error(child, "only irq(timer) can come with need_resched",
                          "the tick is what asks the scheduler to preempt");
            ok = false;
        }
        resched = true;
    }
    if (event) {
        event->need_resched = resched;
    }
    return ok;
}

std::optional<engine::Step> read_step(const Piece& piece, const Names& names,
                                      std::vector<CheckedPredicate>& expects, Reporter& reporter) {
    const Context context{piece, names, reporter};
    const auto tree = context.parse(SentenceKind::step);
    if (!tree) {
        return std::nullopt;
    }
    const SyntaxNode& node = tree->children.front();
    std::optional<What> what;
    switch (node.kind) {
        case Syntax::step_run:
            what = run(context, node);
            break;
        case Syntax::step_inject:
            what = inject(context, node);
            break;
        case Syntax::step_fail:
            what = fail_allocations(context, node);
            break;
        case Syntax::step_allow:
            what = engine::AllocPolicy{};
            break;
        default:
            what = expect(context, node, expects);
            break;
    }
    return what ? std::optional(engine::Step{std::move(*what), piece.text}) : std::nullopt;
}

std::string render(const Event& event, const Names& names) {
    switch (event.kind) {
        case EventKind::irq:
            return fmt::format("irq({})", word_of(irq_names, event.vector.value()));
        case EventKind::page_fault:
            return event.address == Gva{} ? "pf" : fmt::format("pf({})", event.address);
        case EventKind::call:
            return render(event.call, abi::ThreadKind::user, names);
        case EventKind::async_page_fault:
            return fmt::format("apf({})", event.address.value());
        case EventKind::exception:
            return word_of(exceptions, event.vector.value());
        default:
            return word_of(simple_events, event.kind);
    }
}

std::string render(const engine::Step& step, const Names& names,
                   const std::vector<CheckedPredicate>& expects) {
    if (const auto* run = std::get_if<engine::RunUntil>(&step.what)) {
        return render_run(*run, names);
    }
    if (const auto* inject = std::get_if<engine::Inject>(&step.what)) {
        return fmt::format("inject {} on {}{}", render(inject->event, names), render_target(inject->target, names),
                           inject->event.need_resched ? " with need_resched" : "");
    }
    if (const auto* policy = std::get_if<engine::AllocPolicy>(&step.what)) {
        return render_policy(*policy);
    }
    if (const auto* expect = std::get_if<engine::Expect>(&step.what)) {
        return fmt::format("expect {}", render(expects.at(expect->index).predicate, names));
    }
    return "run";
}

}  // namespace stackrig::scenario
