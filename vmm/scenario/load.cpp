// Scenario file -> Scenario: the tables other than [threads], in the order that lets later ones use earlier
// names.
#include <fmt/format.h>
#include <algorithm>
#include <optional>

#include "guest/abi/state.hpp"
#include "vmm/scenario/loader.hpp"
#include "vmm/scenario/context.hpp"
#include "vmm/scenario/nearest.hpp"
#include "vmm/scenario/schema.hpp"
#include "vmm/scenario/policies.hpp"
#include "vmm/scenario/sentence.hpp"
#include "vmm/scenario/variant.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

constexpr std::size_t longest_schedule = 1000;
constexpr std::uint64_t ram_step = 2 << 20;  ///< the guest maps RAM in pages of 2 MiB

bool lower_name(std::string_view text, std::string_view extra) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || extra.find(c) != std::string_view::npos;
    });
}

}  // namespace

Scenario Loader::run() {
    root_.only(keys_of(""));
    header();
    guest();
    threads();
    schedule();
    checks();
    budget();
    explore();
    recorded();
    return std::move(scenario_);
}

void Loader::header() {
    if (!root_.has("schema")) {
        root_.missing("schema", fmt::format("write schema = {} as the first line", schema_version));
    } else if (const Value& value = root_.value().member("schema")->value;
               value.kind != Value::Kind::integer || value.integer != schema_version) {
        root_.error(value.span, fmt::format("this build reads schema {}", schema_version));
    }
    if (!root_.has("name")) {
        root_.missing("name", "a short name, lower case with hyphens: name = \"null-syscall\"");
    }
    scenario_.name = root_.string("name").value_or("");
    if (const Member* name = root_.value().member("name");
        name != nullptr && name->value.kind == Value::Kind::string && !lower_name(scenario_.name, "-")) {
        root_.error(name->value.span, fmt::format("\"{}\" is no name: use a-z, 0-9 and -", scenario_.name));
    }
    if (!root_.has("why")) {
        root_.missing("why", "one or two sentences: what breaks if this goes wrong?");
    }
    scenario_.why = root_.string("why").value_or("");
    if (const Member* why = root_.value().member("why");
        why != nullptr && why->value.kind == Value::Kind::string && scenario_.why.empty()) {
        root_.error(why->value.span, "\"why\" is empty",
                    "one or two sentences: what breaks if this goes wrong?");
    }
    scenario_.claims = root_.ids("claims", claims());
    scenario_.hazards = root_.ids("hazards", hazards());
    capabilities();
    expectation();
}

void Loader::capabilities() {
    const std::vector<std::string> known(std::begin(host_capabilities), std::end(host_capabilities));
    for (const Value* item : root_.strings("requires")) {
        const std::string& name = item->text.text;
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            const auto meant = nearest(name, known);
            root_.error(item->span, fmt::format("\"{}\" is nothing that a host is asked for", name),
                        meant ? fmt::format("did you mean \"{}\"?", *meant) : "./rig list --verbs and doctor list what hosts can do");
        }
        scenario_.capabilities.push_back(name);
    }
}

void Loader::expectation() {
    const Member* member = root_.value().member("expect");
    if (member == nullptr) {
        return;
    }
    if (member->value.kind == Value::Kind::string) {
        if (member->value.text.text != "pass") {
            root_.error(member->value.span, fmt::format("cannot expect \"{}\"", member->value.text.text),
                        "write \"pass\" or { violation = \"INV-19\" }");
        }
        return;
    }
    const auto table = root_.table("expect");
    if (!table) {
        return;
    }
    table->only(keys_of("expect"));
    scenario_.expect.also = table->ids("also", scenario::checks());
    if (!table->has("violation")) {
        table->missing("violation", "the id whose violation ends the run: violation = \"INV-19\"");
        return;
    }
    scenario_.expect.violation = table->id("violation", scenario::checks()).value_or("");
    const auto& also = scenario_.expect.also;
    if (!scenario_.expect.pass() &&
        std::find(also.begin(), also.end(), scenario_.expect.violation) != also.end()) {
        table->error(
            table->value().member("also")->span,
            fmt::format("{} ends the run, so it cannot have fired before", scenario_.expect.violation),
            "\"also\" holds the ids that fire earlier");
    }
}

void Loader::guest() {
    const auto table = root_.table("guest");
    if (!table) {
        return;
    }
    table->only(keys_of("guest"));
    scheme(*table);
    engine::GuestPlan& plan = scenario_.plan.guest;
    names_.cpus = static_cast<std::uint32_t>(table->integer("cpus", 1, abi::max_cpus).value_or(1));
    plan.cpus = names_.cpus;
    const auto pages = [&](const char* key, std::uint32_t& into) {
        into = static_cast<std::uint32_t>(table->integer(key, 0, abi::stash_capacity).value_or(into));
    };
    pages("cache_pages", plan.cache_pages);
    pages("reserve_pages", plan.reserve_pages);
    plan.policies = read_policies(*table, plan.scheme, plan.reserve_pages);
    scenario_.reading = reading_of(plan);
    plan.crowd = static_cast<std::uint32_t>(table->integer("crowd", 0, most_crowd).value_or(0));
    memory(*table);
    depths(*table);
    entry_list(*table);
    cpu_list(*table);
}

void Loader::scheme(const Table& guest) {
    // Names of the schemes that are planned: they deserve a better answer than "unknown".
    static const std::vector<std::string> schemes = {"entry-exit", "fixed",      "fault-df",
                                                     "fault-ist",  "sp-reclaim", "accessed-reclaim"};
    const auto scheme = guest.choice("scheme", schemes).value_or(0);
    if (scheme > 1) {
        guest.error(guest.value().member("scheme")->value.span,
                    fmt::format("scheme \"{}\" is not built yet", schemes[scheme]),
                    "there are entry-exit and fixed");
    }
    scenario_.plan.guest.scheme = scheme == 1 ? abi::Scheme::fixed : abi::Scheme::entry_exit;
}

void Loader::entry_list(const Table& guest) {
    for (const Value* item : guest.strings("bail_outs")) {
        const auto entry = find_handler(item->text.text);
        if (!entry) {
            guest.error(item->span, fmt::format("unknown entry \"{}\"", item->text.text), suggestion(item->text.text, handler_names()));
            continue;
        }
        scenario_.plan.guest.bail_outs |= 1u << static_cast<std::uint32_t>(*entry);
    }
}

void Loader::cpu_list(const Table& guest) {
    for (const Value* item : guest.strings("offline")) {
        const auto number = looks_like_cpu(item->text.text) ? read_number(std::string_view(item->text.text).substr(3)) : std::nullopt;
        if (!number || *number == 0 || *number >= names_.cpus) {
            guest.error(item->span, fmt::format("\"{}\" cannot be offline at boot", item->text.text),
                        names_.cpus == 1 ? std::string("the guest has one CPU, which boots") : fmt::format("cpu1 to cpu{} can", names_.cpus - 1));
            continue;
        }
        scenario_.plan.guest.offline |= 1u << static_cast<std::uint32_t>(*number);
    }
}

void Loader::memory(const Table& guest) {
    engine::GuestPlan& plan = scenario_.plan.guest;
    plan.ram_bytes = guest.size("ram", least_ram, most_ram).value_or(plan.ram_bytes);
    if (plan.ram_bytes % ram_step != 0) {
        guest.error(guest.value().member("ram")->value.span, "\"ram\" of [guest] must be a multiple of 2M");
    }
    const auto frames = static_cast<std::int64_t>(plan.ram_bytes / abi::page_bytes);
    if (const auto free = guest.integer("free_pages", 0, frames)) {
        plan.free_pages = static_cast<std::uint32_t>(*free);
    }
}

void Loader::depths(const Table& guest) {
    engine::GuestPlan& plan = scenario_.plan.guest;
    plan.softirq_depth = static_cast<std::uint32_t>(guest.size("softirq", 0, deepest).value_or(0));
    plan.reclaim_depth = static_cast<std::uint32_t>(guest.size("reclaim", 0, deepest).value_or(0));
    const auto table = guest.table("depth");
    if (!table) {
        return;
    }
    for (const Member& member : table->value().members) {
        const auto entry = find_entry(member.key);
        if (!entry) {
            const auto alias = find_word(entry_aliases, member.key);
            table->error(member.span, fmt::format("unknown entry \"{}\" in {}", member.key, table->name()),
                         alias ? fmt::format("did you mean \"{}\"?", abi::entry_class(*alias).name)
                               : suggestion(member.key, entry_names()));
        } else if (const auto bytes = table->size(member.key, 0, deepest)) {
            scenario_.plan.guest.depth[static_cast<std::size_t>(*entry)] = static_cast<std::uint32_t>(*bytes);
        }
    }
}

std::vector<const Value*> Loader::find_schedule() {
    std::vector<const Value*> steps;
    const Member* first = nullptr;
    const auto collect = [&](const Table& table) {
        const Member* member = table.value().member("schedule");
        if (member == nullptr) {
            return;
        }
        if (first != nullptr) {
            table.error(member->span, "a second schedule: a scenario has one",
                        fmt::format("the first is in line {}", first->span.at.line));
        }
        first = first == nullptr ? member : first;
        const auto found = table.strings("schedule");
        steps.insert(steps.end(), found.begin(), found.end());
    };
    collect(root_);
    if (const auto run = root_.table("run")) {
        collect(*run);
    }
    const Member* threads = root_.value().member("threads");
    if (threads != nullptr && threads->value.kind == Value::Kind::table) {
        for (const Member& thread : threads->value.members) {
            const Member* member = thread.value.member("schedule");
            if (member == nullptr) {
                continue;
            }
            const Table table(thread.value, fmt::format("[threads.{}]", thread.key), reporter_);
            table.error(member->span,
                        fmt::format("the schedule stands in {}: in TOML a key behind a [header] is part "
                                    "of that table",
                                    table.name()),
                        "put a line [run] above it, or move it to the top of the file");
            collect(table);
        }
    }
    if (first == nullptr) {
        root_.missing("schedule", "what happens, in order: schedule = [\"run\"] in the table [run]");
    } else if (steps.empty() && first->value.kind == Value::Kind::array && first->value.items.empty()) {
        root_.error(first->value.span, "the schedule is empty: nothing would run",
                    "the shortest is [\"run\"]");
    }
    return steps;
}

void Loader::schedule() {
    const std::vector<const Value*> steps = find_schedule();
    names_.steps = steps.size();
    if (steps.size() > longest_schedule) {
        root_.error(steps[longest_schedule]->span,
                    fmt::format("a schedule has at most {} steps", longest_schedule));
    }
    for (const Value* sentence : steps) {
        if (auto step = read_step(piece_of(*sentence), names_, scenario_.expects, reporter_)) {
            scenario_.plan.schedule.push_back(std::move(*step));
            scenario_.step_places.push_back(sentence->span);
        }
    }
}

void Loader::checks() {
    const auto table = root_.table("check");
    if (!table) {
        return;
    }
    table->only(keys_of("check"));
    scenario_.always = predicates(*table, "always");
    scenario_.sometimes = predicates(*table, "sometimes");
    scenario_.finally = predicates(*table, "finally");
    scenario_.tlb = table->choice("tlb", {"arch", "demand"}).value_or(0) == 1 ? oracle::Fill::demand : oracle::Fill::arch;
}

std::vector<CheckedPredicate> Loader::predicates(const Table& check, const char* key) {
    std::vector<CheckedPredicate> out;
    for (const Value* sentence : check.strings(key)) {
        if (auto predicate = read_predicate(piece_of(*sentence), names_, reporter_)) {
            predicate->at = sentence->span;
            out.push_back(std::move(*predicate));
        }
    }
    return out;
}

void Loader::budget() {
    const auto table = root_.table("run");
    if (!table) {
        return;
    }
    table->only(keys_of("run"));
    decisions(*table);
    engine::RunPlan& plan = scenario_.plan;
    plan.max_stops = static_cast<std::uint64_t>(
        table->integer("max_stops", 1, most_stops).value_or(static_cast<std::int64_t>(plan.max_stops)));
    plan.check_every_instruction = table->choice("check", {"stop", "instruction"}).value_or(0) == 1;
}

namespace {

void load_variants(const Value& document, const SymbolSource& symbols, Reporter& reporter, std::vector<Scenario>& out) {
    const auto table = Table(document, "", reporter).table("variants");
    if (!table) {
        return;
    }
    for (const Member& member : table->value().members) {
        if (!lower_name(member.key, "-") || member.value.kind != Value::Kind::table) {
            table->error(member.span, fmt::format("\"{}\" is no variant", member.key), "a variant is a table with a name of a-z, 0-9 and -: [variants.proposed]");
            continue;
        }
        Table(member.value, fmt::format("[variants.{}]", member.key), reporter).only(keys_of("variants.*"));
        const Value own = with_variant(document, member.value);
        out.push_back(Loader(Table(own, "", reporter), symbols).run());
        out.back().variant = member.key;
    }
}

}  // namespace

Checked check(std::string_view text, std::string file, const SymbolSource& symbols) {
    const SourceText source(std::move(file), std::string(text));
    Reporter reporter(source);
    const auto document = parse_document(source, reporter);
    if (!document) {
        return tl::make_unexpected(reporter.take());
    }
    std::vector<Scenario> scenarios = {Loader(Table(*document, "", reporter), symbols).run()};
    load_variants(*document, symbols, reporter, scenarios);
    if (!reporter.clean()) {
        return tl::make_unexpected(reporter.take());
    }
    for (Scenario& scenario : scenarios) {
        scenario.file = source.file();
    }
    return scenarios;
}

Names names_of(const Scenario& scenario, const SymbolSource& symbols) {
    Names names{symbols, {}, scenario.plan.guest.cpus, scenario.plan.schedule.size()};
    for (const engine::ThreadPlan& thread : scenario.plan.threads) {
        const auto is_exec = [](const abi::Op& op) { return op.kind == abi::OpKind::exec; };
        names.threads.push_back({thread.name, thread.kind, std::any_of(thread.program.begin(), thread.program.end(), is_exec)});
    }
    return names;
}

}  // namespace stackrig::scenario
