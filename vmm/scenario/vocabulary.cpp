// The lists of ids and names that are too long or too regular for the header.
#include "vmm/scenario/vocabulary.hpp"

#include <fmt/format.h>

#include "vmm/oracle/catalogue.hpp"
#include "vmm/oracle/hazards.hpp"

namespace stackrig::scenario {
namespace {

void append_range(std::vector<std::string>& out, std::string_view prefix, unsigned last) {
    for (unsigned i = 1; i <= last; ++i) {
        out.push_back(fmt::format("{}{}", prefix, i));
    }
}

template <class Table>
void append_words(std::vector<std::string>& out, const Table& table) {
    for (const auto& word : table) {
        out.emplace_back(word.text);
    }
}

std::vector<std::string> make_reserved() {
    std::vector<std::string> out = {
        "run",   "until",       "inject",     "on",     "with", "need_resched", "fail",    "next",  "all",
        "allow", "allocations", "allocation", "expect", "user", "sleeps",       "exits",   "idle",  "end",
        "mark",  "handler",     "deep",       "call",   "irq",  "pf",           "reserve", "cache", "hands",
        "free",  "leaked",      "mapped",     "pend",   "not",  "loan",         "asleep",  "alive", "seen"};
    append_words(out, simple_ops);
    append_words(out, counted_ops);
    append_words(out, call_words);
    append_words(out, simple_events);
    append_words(out, exceptions);
    append_words(out, cpu_ops);
    out.emplace_back("apf");
    return out;
}

}  // namespace

std::optional<abi::Entry> find_entry(std::string_view name) {
    for (const abi::EntryClass& row : abi::entry_classes) {
        if (row.entry != abi::Entry::none && name == row.name) {
            return row.entry;
        }
    }
    return std::nullopt;
}

std::optional<abi::Entry> find_handler(std::string_view name) {
    const auto entry = find_entry(name);
    return entry ? entry : find_word(entry_aliases, name);
}

std::vector<std::string> entry_names() {
    std::vector<std::string> out;
    for (const abi::EntryClass& row : abi::entry_classes) {
        if (row.entry != abi::Entry::none) {
            out.emplace_back(row.name);
        }
    }
    return out;
}

std::vector<std::string> handler_names() {
    std::vector<std::string> out = entry_names();
    append_words(out, entry_aliases);
    return out;
}

const std::vector<std::string>& reserved_words() {
    static const std::vector<std::string> list = make_reserved();
    return list;
}

bool looks_like_cpu(std::string_view word) {
    return word.size() > 3 && word.starts_with("cpu") &&
           word.find_first_not_of("0123456789", 3) == std::string_view::npos;
}

const IdList& claims() {
    static const IdList list = [] {
        IdList out{"claim", "there are C1 to C8", {}, {}};
        append_range(out.ids, "C", 8);
        return out;
    }();
    return list;
}

const IdList& hazards() {
    static const IdList list = [] {
        IdList out{"hazard", "`./rig list hazards` shows them", {}, {}};
        for (const oracle::Hazard& hazard : oracle::hazards()) {
            out.ids.emplace_back(hazard.id);
        }
        return out;
    }();
    return list;
}

const IdList& checks() {
    static const IdList list = [] {
        IdList out{"check", "./rig list invariants names them", {}, {}};
        for (const oracle::Invariant& invariant : oracle::catalogue()) {
            out.ids.emplace_back(invariant.id);
        }
        append_range(out.planned, "INV-", 33);
        append_range(out.planned, "LIVE-", 8);
        return out;
    }();
    return list;
}

}  // namespace stackrig::scenario
