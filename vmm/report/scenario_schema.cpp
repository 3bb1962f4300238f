// From the table of keys, and the vocabulary, to JSON and text.
#include "vmm/report/scenario_schema.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "guest/abi/ports.hpp"
#include "vmm/scenario/predicate.hpp"
#include "vmm/scenario/schema.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::report {
namespace {

using scenario::SchemaKey;
using Type = SchemaKey::Type;

Json object_of(const std::string& table);

Json strings(const std::vector<std::string>& words) {
    Json item{{"type", "string"}};
    if (!words.empty()) {
        item["enum"] = words;
    }
    return {{"type", "array"}, {"items", item}};
}

/// What stands behind a key.
Json value_of(const SchemaKey& row) {
    switch (row.type) {
        case Type::string: return {{"type", "string"}, {"minLength", 1}};
        case Type::integer: return {{"type", "integer"}, {"minimum", row.least}, {"maximum", row.most}};
        case Type::boolean: return {{"type", "boolean"}};
        case Type::size:
            return {{"anyOf", {{{"type", "integer"}, {"minimum", row.least}, {"maximum", row.most}}, {{"type", "string"}, {"pattern", "^[0-9]+[KM]?$"}}}}};
        case Type::word: return {{"type", "string"}, {"enum", row.words}};
        case Type::ids: return strings(row.words);
        case Type::strings: return strings({});
        case Type::table: return object_of(row.table.empty() ? row.key : row.table + "." + row.key);
        case Type::expectation: return {{"anyOf", {{{"type", "string"}, {"enum", {"pass"}}}, object_of("expect")}}};
    }
    return {};
}

/// A table with its keys; `variants.*.guest` has those of `guest`.
Json object_of(const std::string& table) {
    const std::string variants = "variants.*.";
    if (table.starts_with(variants)) {
        return object_of(table.substr(variants.size()));
    }
    Json object{{"type", "object"}, {"additionalProperties", false}};
    for (const SchemaKey& row : scenario::schema()) {
        if (row.table != table) {
            continue;
        }
        Json value = value_of(row);
        value["description"] = row.meaning;
        if (row.key == "*") {
            object["patternProperties"] = {{table == "threads" ? "^[A-Za-z_][A-Za-z0-9_-]{0,14}$" : "^[a-z0-9-]+$", std::move(value)}};
            continue;
        }
        object["properties"][row.key] = std::move(value);
        if (row.required) {
            object["required"].push_back(row.key);
        }
    }
    return object;
}

/// A variant says only what differs: nothing is required there.
void drop_required(Json& json) {
    if (json.is_object()) {
        json.erase("required");
    }
    for (Json& child : json) {
        if (child.is_structured()) {
            drop_required(child);
        }
    }
}

std::string header_of(std::string table) {
    if (table.ends_with("*")) {
        table.replace(table.size() - 1, 1, "NAME");
    }
    return table.empty() ? "At the top of the file" : table == "expect" ? "`expect = { ... }`" : fmt::format("`[{}]`", table);
}

/// Bytes as people write them: 16M, 15K, 512.
std::string bytes_text(std::int64_t bytes) {
    return bytes != 0 && bytes % (1 << 20) == 0 ? fmt::format("{}M", bytes >> 20) : bytes != 0 && bytes % 1024 == 0 ? fmt::format("{}K", bytes >> 10) : fmt::format("{}", bytes);
}

std::string allowed(const SchemaKey& row) {
    constexpr std::size_t most_shown = 12;
    switch (row.type) {
        case Type::string: return "text";
        case Type::integer: return row.least == row.most ? fmt::format("{}", row.least) : fmt::format("{}..{}", row.least, row.most);
        case Type::boolean: return "true, false";
        case Type::size: return fmt::format("{}..{}", bytes_text(row.least), bytes_text(row.most));
        case Type::word:
        case Type::ids: {
            const std::string prefix = row.type == Type::ids ? "any of " : "";
            return row.words.size() > most_shown ? prefix + fmt::format("{} .. {}", row.words.front(), row.words.back()) : prefix + fmt::format("{}", fmt::join(row.words, ", "));
        }
        case Type::strings: return "sentences or names";
        case Type::table: return "a table";
        case Type::expectation: return "\"pass\" or a table";
    }
    return "";
}

std::string key_row(const SchemaKey& row) {
    const std::string key = row.key == "*" ? "NAME" : row.key;
    return fmt::format("| `{}`{} | {} | {} | {} |\n", key, row.required ? " (required)" : "", row.example.empty() ? "" : fmt::format("`{}`", row.example), allowed(row), row.meaning);
}

struct Meaning {
    std::string_view word;
    std::string_view text;
};
/// Of words whose name alone does not say it.
constexpr Meaning meanings[] = {
    {"spin", "loops in user mode for ever"},
    {"touch", "reads a page that is not there: #PF"},
    {"touch_kernel", "reads a kernel address: #PF"},
    {"int3", "#BP"},
    {"step", "one instruction with TF: #DB"},
    {"ud2", "#UD"},
    {"gp", "#GP"},
    {"de", "#DE"},
    {"exit", "the thread ends"},
    {"cli", "runs with interrupts off in user mode"},
    {"exec", "a kthread or worker becomes a user thread"},
    {"hog N", "kthreads: takes N frames and keeps them"},
    {"release N", "kthreads: gives N back"},
    {"up CPU", "kthreads: brings a CPU up"},
    {"down CPU", "kthreads: takes it down"},
    {"null", "does nothing"},
    {"lock N", "mutex N"},
    {"unlock N", "mutex N"},
    {"wait N", "sleeps on event queue N"},
    {"wake N", "wakes event queue N"},
    {"wake_late N", "the same, and touches the sleeper's entry when it may be gone"},
    {"yield", "schedule()"},
    {"fork THREAD", "starts a thread that has forked = true"},
    {"kill THREAD", "a fatal signal"},
    {"migrate CPU", "goes on there"},
    {"dump THREAD", "reads its stack, as an unwinder does"},
    {"bad_iret", "an IRET to user mode that fails"},
    {"run [THREAD] until PLACE", "go on until the place; the scheduler prefers THREAD"},
    {"run", "go on until nothing more can happen without an event"},
    {"inject EVENT on CPU|THREAD", "put the event at the next boundary"},
    {"... with need_resched", "this tick asks for a reschedule"},
    {"fail next N allocations", "whatever memory is free"},
    {"fail all allocations", "from here on"},
    {"allow allocations", "from here on"},
    {"expect PREDICATE", "must be true here and now"},
    {"nmi", "non-maskable interrupt"},
    {"mc", "machine check"},
    {"db", "debug exception"},
    {"bp", "breakpoint exception"},
    {"pf(ADDRESS)", "page fault"},
    {"syscall CALL", "on a thread in user mode: by its own instruction"},
    {"user", "user mode, at the boundary after the next operation begins"},
    {"sleeps", "the thread has blocked and another has the CPU"},
    {"exits", "the thread has died and its stack is gone"},
    {"idle", "the CPU has nothing to run"},
    {"mark(MARK)", "a named point of the kernel"},
    {"handler(ENTRY)", "the entry's first instruction"},
    {"SYMBOL[+0x10]", "that instruction is next"},
    {"step N", "after schedule step N; inspect --at only"},
    {"end", "the end of the run; inspect --at only"},
    {"reserve(CPU)", "frames in its reserve"},
    {"cache(CPU)", "frames in its cache"},
    {"hands(CPU)", "frames that a hook holds"},
    {"reserve.users(CPU)", "threads that hold frames of this reserve"},
    {"free", "frames on the allocator's free list"},
    {"leaked", "stack frames that are nowhere"},
    {"mapped(THREAD)", "present pages of its stack, 0..4"},
    {"pend(THREAD)", "the hook owes it its pages"},
    {"loan(THREAD)", "frames of a reserve that it holds"},
    {"asleep(THREAD)", "is blocked"},
    {"alive(THREAD)", "has not exited"},
    {"user(THREAD)", "runs, in user mode"},
    {"seen(MARK)", "how often so far"},
};

std::string word_line(const std::string& word, std::string meaning = {}) {
    const auto found = std::find_if(std::begin(meanings), std::end(meanings), [&](const Meaning& m) { return m.word == word; });
    if (meaning.empty() && found != std::end(meanings)) {
        meaning = found->text;
    }
    return meaning.empty() ? fmt::format("  {}\n", word) : fmt::format("  {:<30} {}\n", word, meaning);
}

}  // namespace

Json scenario_json_schema() {
    Json schema{{"$schema", "http://json-schema.org/draft-07/schema#"}, {"title", "stackrig scenario"}};
    schema.update(object_of(""));
    for (Json& variant : schema["properties"]["variants"]["patternProperties"]) {
        drop_required(variant);
    }
    return schema;
}

std::string scenario_keys_markdown() {
    std::string out;
    std::string table = "?";
    const std::string entries = fmt::format("{}", fmt::join(scenario::keys_of("guest.depth"), "`, `"));
    for (SchemaKey row : scenario::schema()) {
        if (row.table == "variants.*" || (row.table == "guest.depth" && table == row.table)) {
            continue;  // keys of the file, listed there; entries are all alike
        }
        row.key = row.table == "guest.depth" ? entries : row.key;
        if (row.table != table) {
            table = row.table;
            out += fmt::format("{}{}:\n\n| key | for example | allowed | what |\n|---|---|---|---|\n", out.empty() ? "" : "\n", header_of(table));
        }
        out += key_row(row);
    }
    const std::vector<std::string> variant = scenario::keys_of("variants.*");
    return out + fmt::format("\n`[variants.NAME]` may have the keys {} of the file; tables in it are laid over the file's own.\n",
                             fmt::join(variant, ", "));
}

std::string scenario_words() {
    const auto argument = [](abi::Sys number) -> std::string {
        switch (scenario::argument_of(number)) {
            case scenario::Argument::object: return " N";
            case scenario::Argument::thread: return " THREAD";
            case scenario::Argument::cpu: return " CPU";
            case scenario::Argument::none: break;
        }
        return "";
    };
    std::string out = "Programs of threads:\n";
    for (const auto& word : scenario::call_words) {
        out += word_line(fmt::format("{} CALL [deep SIZE]", word.text), "a system call, user threads");
    }
    out += word_line(fmt::format("{} CALL [deep SIZE]", scenario::kthread_call_word), "the same function, called by a kthread");
    for (const auto& word : scenario::simple_ops) {
        out += word_line(word.text);
    }
    for (const auto& word : scenario::counted_ops) {
        out += word_line(fmt::format("{} N", word.text));
    }
    for (const auto& word : scenario::cpu_ops) {
        out += word_line(fmt::format("{} CPU", word.text));
    }
    out += "\nCALL:\n";
    for (const auto& word : scenario::system_calls) {
        out += word_line(word.text + argument(word.value));
    }
    out += "\nSteps of a schedule:\n";
    for (const char* step : {"run [THREAD] until PLACE", "run", "inject EVENT on CPU|THREAD", "... with need_resched", "fail next N allocations",
                             "fail all allocations", "allow allocations", "expect PREDICATE"}) {
        out += word_line(step);
    }
    out += "\nEVENT:\n";
    for (const auto& word : scenario::irq_names) {
        out += word_line(fmt::format("irq({})", word.text), fmt::format("vector {:#x}", word.value));
    }
    for (const auto& word : scenario::simple_events) {
        out += word_line(word.text);
    }
    for (const auto& word : scenario::exceptions) {
        out += word_line(word.text, fmt::format("exception, vector {}", word.value));
    }
    out += word_line("pf(ADDRESS)");
    out += word_line("syscall CALL");
    out += "\nPLACE:\n";
    for (const char* place : {"user", "sleeps", "exits", "idle", "mark(MARK)", "handler(ENTRY)", "SYMBOL[+0x10]", "step N", "end"}) {
        out += word_line(place);
    }
    out += fmt::format("\nENTRY:\n  {}\n", fmt::join(scenario::handler_names(), " "));
    out += fmt::format("\nWhat `requires` may ask of a host:\n  {}\n", fmt::join(scenario::host_capabilities, " "));
    out += "\nFacts of a PREDICATE:\n";
    for (const scenario::FactWord& word : scenario::fact_words) {
        constexpr const char* arguments[] = {"", "(CPU)", "(THREAD)", "(MARK)"};
        out += word_line(word.text + std::string(arguments[static_cast<std::size_t>(word.argument)]));
    }
    out += "\nMARK, with what RDI, RSI and RDX hold:\n";
#define X(name, number, text, args) out += word_line(text, args);
    STACKRIG_MARKS(X)
#undef X
    return out;
}

}  // namespace stackrig::report
