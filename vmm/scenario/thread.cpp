// [threads.NAME]: names, kinds, CPUs and programs.
#include <fmt/format.h>
#include <algorithm>

#include "vmm/scenario/loader.hpp"
#include "vmm/scenario/schema.hpp"
#include "vmm/scenario/sentence.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

constexpr std::size_t longest_name = sizeof(abi::ThreadSpec::name) - 1;
constexpr std::size_t most_threads = abi::max_threads - 1;  ///< one is left for the guest's own use

/// What is wrong with a thread's name; empty when nothing is.
std::string name_problem(std::string_view name) {
    if (name.empty() || name.size() > longest_name) {
        return fmt::format("a thread's name has 1 to {} characters, and \"{}\" has {}", longest_name, name,
                           name.size());
    }
    const auto letter = [](char c) { return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_'; };
    const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; };
    if (!letter(name.front()) || !std::all_of(name.begin(), name.end(), inner)) {
        return fmt::format("\"{}\" is no name for a thread: letters, digits, _ and -, a letter first", name);
    }
    const auto& reserved = reserved_words();
    if (looks_like_cpu(name) || std::find(reserved.begin(), reserved.end(), name) != reserved.end()) {
        return fmt::format("a thread cannot be called \"{}\": sentences use that word", name);
    }
    return {};
}

constexpr abi::ThreadKind kinds[] = {abi::ThreadKind::user, abi::ThreadKind::kthread, abi::ThreadKind::worker};

/// Nothing behind these operations is ever run.
bool ends_program(const abi::Op& op) {
    return op.kind == abi::OpKind::spin || op.kind == abi::OpKind::end ||
           (op.kind == abi::OpKind::call && op.number == abi::Sys::exit);
}

}  // namespace

void Loader::threads() {
    const auto table = root_.table("threads");
    if (!table) {
        if (!root_.has("threads")) {
            root_.missing("threads", "a scenario needs a thread: [threads.A] with program = [\"spin\"]");
        }
        return;
    }
    const std::vector<Member>& members = table->value().members;
    if (members.empty() || members.size() > most_threads) {
        table->error(table->value().span,
                     fmt::format("a scenario has 1 to {} threads, not {}", most_threads, members.size()));
    }
    for (const Member& member : members) {
        thread(member);
    }
    std::size_t index = 0;
    for (const Member& member : members) {
        if (member.value.kind == Value::Kind::table) {
            program(Table(member.value, fmt::format("[threads.{}]", member.key), reporter_), index++);
        }
    }
}

void Loader::thread(const Member& member) {
    if (std::string problem = name_problem(member.key); !problem.empty()) {
        reporter_.error(member.span, std::move(problem));
    }
    if (member.value.kind != Value::Kind::table) {
        reporter_.error(
            member.span,
            fmt::format("thread {} must be a table, not {}", member.key, name_of(member.value.kind)),
            fmt::format("write [threads.{}] and its keys below", member.key));
        return;
    }
    const Table table(member.value, fmt::format("[threads.{}]", member.key), reporter_);
    // `schedule` is dealt with by find_schedule(), which knows what was meant.
    table.only(keys_of("threads.*"), "schedule");
    engine::ThreadPlan plan;
    plan.name = member.key;
    const auto kind = table.choice("kind", {"user", "kthread", "worker"});
    if (table.has("kind") && !kind) {
        of_unknown_kind_.insert(scenario_.plan.threads.size());
    }
    plan.kind = kinds[kind.value_or(0)];
    plan.priority = static_cast<std::uint32_t>(table.integer("priority", 0, most_important).value_or(0));
    plan.forked = table.boolean("forked").value_or(false);
    plan.cpu = CpuId(static_cast<std::uint32_t>(table.integer("cpu", 0, names_.cpus - 1, names_.cpus == 1 ? "the guest has one CPU: write cpus = 2 in [guest]" : "").value_or(0)));
    const Member* program = member.value.member("program");
    const auto is_exec = [](const Value& sentence) { return sentence.text.text == word_of(simple_ops, abi::OpKind::exec); };
    const bool execs = program != nullptr && std::any_of(program->value.items.begin(), program->value.items.end(), is_exec);
    names_.threads.push_back({plan.name, plan.kind, execs});
    scenario_.thread_places.push_back(member.span);
    scenario_.plan.threads.push_back(std::move(plan));
}

void Loader::program(const Table& table, std::size_t index) {
    engine::ThreadPlan& plan = scenario_.plan.threads[index];
    if (!table.has("program")) {
        table.error(scenario_.thread_places[index], fmt::format("\"program\" of {} is missing", table.name()),
                    "what the thread does: program = [\"syscall null\", \"spin\"]");
    }
    const std::vector<const Value*> sentences = table.strings("program");
    std::vector<std::optional<abi::Op>> ops;
    abi::ThreadKind kind = plan.kind;
    for (const Value* sentence : sentences) {
        ops.push_back(of_unknown_kind_.contains(index) ? read_for_any_kind(*sentence) : read_operation(piece_of(*sentence), kind, names_, reporter_));
        if (ops.back() && ops.back()->kind == abi::OpKind::exec) {
            kind = abi::ThreadKind::user;  // what follows runs in user mode
        }
        plan.program.push_back(ops.back().value_or(abi::Op{}));
    }
    const bool loop = table.boolean("loop").value_or(false);
    const Member* loop_key = loop ? table.value().member("loop") : nullptr;
    if (loop && sentences.empty()) {
        table.error(loop_key->span, "an empty program has nothing to repeat");
    }
    if (loop) {
        plan.program.push_back({abi::OpKind::jump, abi::Sys::null, abi::Via::syscall64, 0, 0, 0});
    }
    if (plan.program.size() > abi::max_ops) {
        table.error(
            sentences.empty() ? table.value().span : sentences.back()->span,
            fmt::format("the program of {} has {} operations{}; the limit is {}", plan.name,
                        plan.program.size(), loop ? ", the jump of its loop counted" : "", abi::max_ops));
    }
    unreachable(sentences, ops, loop_key);
}

/// What a thread may do depends on its kind: of an unknown one only what none may do is a problem.
std::optional<abi::Op> Loader::read_for_any_kind(const Value& sentence) {
    for (const abi::ThreadKind kind : kinds) {
        Reporter unheard(reporter_.source());
        if (read_operation(piece_of(sentence), kind, names_, unheard)) {
            return std::nullopt;
        }
    }
    return read_operation(piece_of(sentence), kinds[0], names_, reporter_);
}

void Loader::unreachable(const std::vector<const Value*>& sentences,
                         const std::vector<std::optional<abi::Op>>& ops, const Member* loop) {
    for (std::size_t i = 0; i < ops.size(); ++i) {
        if (!ops[i] || !ends_program(*ops[i])) {
            continue;
        }
        const std::string& word = sentences[i]->text.text;
        if (i + 1 < ops.size()) {
            reporter_.error(sentences[i + 1]->span,
                            fmt::format("never reached: \"{}\" before it does not return", word));
        } else if (loop != nullptr) {
            reporter_.error(loop->span,
                            fmt::format("this loop never starts over: \"{}\" does not return", word));
        }
        return;
    }
}

}  // namespace stackrig::scenario
