// [explore] and the decisions of [run].
#include <fmt/format.h>

#include <algorithm>

#include "vmm/scenario/loader.hpp"
#include "vmm/scenario/nearest.hpp"
#include "vmm/scenario/schema.hpp"
#include "vmm/scenario/sentence.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

using engine::Event;
using engine::EventKind;

}  // namespace

const std::vector<std::string>& sweep_words() {
    static const std::vector<std::string> words{"nmi", "mc", "db", "bp", "irq", "device", "tick", "alloc"};
    return words;
}

std::optional<Event> sweep_event(std::string_view word) {
    Event event;
    event.text = word;
    if (word == "nmi") {
        event.kind = EventKind::nmi;
    } else if (word == "mc") {
        event.kind = EventKind::machine_check;
    } else if (word == "db") {
        event.kind = EventKind::debug;
    } else if (word == "bp") {
        event.kind = EventKind::int3;
    } else if (word == "irq" || word == "tick") {
        event.vector = Vector(abi::timer_vector);
        event.need_resched = word == "tick";
    } else if (word == "device") {
        event.vector = Vector(abi::device_vector);
    } else {
        return std::nullopt;
    }
    return event;
}

const std::vector<std::string>& pairs_words() {
    static const std::vector<std::string> words{"none", "all", "fast"};
    return words;
}

std::string word_for(engine::Pairs pairs) { return pairs_words()[static_cast<std::size_t>(pairs)]; }

std::optional<engine::Pairs> pairs_from(std::string_view word) {
    const auto found = std::find(pairs_words().begin(), pairs_words().end(), word);
    return found == pairs_words().end() ? std::nullopt : std::optional(static_cast<engine::Pairs>(found - pairs_words().begin()));
}

void Loader::explore() {
    const auto table = root_.table("explore");
    if (!table) {
        return;
    }
    table->only(keys_of("explore"));
    const auto sweep = table->table("sweep");
    if (!sweep) {
        table->missing("sweep", "what to try at every boundary: sweep = { events = [\"nmi\", \"irq\", \"mc\"] }");
        return;
    }
    sweep->only(keys_of("explore.sweep"));
    engine::SweepPlan plan;
    if (!sweep->has("events")) {
        sweep->missing("events", fmt::format("one or more of {}", fmt::join(sweep_words(), ", ")));
    } else if (const Value& events = sweep->value().member("events")->value; events.kind == Value::Kind::array && events.items.empty()) {
        sweep->error(events.span, "there is nothing to sweep", fmt::format("one or more of {}", fmt::join(sweep_words(), ", ")));
    }
    for (const Value* item : sweep->strings("events")) {
        if (item->text.text == "alloc") {
            plan.allocations = true;
        } else if (auto event = sweep_event(item->text.text)) {
            plan.events.push_back(std::move(*event));
        } else {
            sweep->error(item->span, fmt::format("\"{}\" is nothing to sweep", item->text.text), suggestion(item->text.text, sweep_words()));
        }
    }
    for (const Value* item : sweep->strings("at")) {
        const auto address = names_.symbols.find(item->text.text);
        if (!address) {
            sweep->error(item->span, fmt::format("the guest has no function \"{}\"", item->text.text),
                         suggestion(item->text.text, names_.symbols.names()));
            continue;
        }
        plan.functions.push_back(item->text.text);
    }
    plan.user_mode = sweep->boolean("user").value_or(true);
    plan.pairs = static_cast<engine::Pairs>(sweep->choice("pairs", pairs_words()).value_or(0));
    scenario_.sweep = std::move(plan);
}

void Loader::recorded() {
    const auto table = root_.table("replay");
    if (!table) {
        return;
    }
    table->only(keys_of("replay"));
    const auto hash = [&](const char* key) -> std::uint64_t {
        const auto text = table->string(key);
        if (!text) {
            table->missing(key, "a hash of 16 hexadecimal digits");
            return 0;
        }
        const auto value = read_number("0x" + *text);
        if (!value) {
            table->error(table->value().member(key)->value.span, fmt::format("\"{}\" is no hash of 16 hexadecimal digits", *text));
        }
        return value.value_or(0);
    };
    scenario_.recorded = Recorded{hash("guest"), hash("trace")};
}

void Loader::decisions(const Table& run) {
    for (const Value* sentence : run.strings("decisions")) {
        if (auto decision = read_decision(piece_of(*sentence), names_, reporter_)) {
            scenario_.plan.decisions.push_back(std::move(*decision));
        }
    }
}

}  // namespace stackrig::scenario
