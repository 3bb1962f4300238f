// The lists of ids and names that are too long or too regular for the header.
#include "vmm/scenario/vocabulary.hpp"

#include <fmt/format.h>

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

std::vector<std::string> make_hazards() {
    static constexpr struct {
        char letter;
        unsigned last;
    } groups[] = {{'A', 16}, {'B', 15}, {'C', 8}, {'D', 7}, {'E', 8}, {'F', 6}, {'G', 5}};
    std::vector<std::string> out;
    for (const auto& group : groups) {
        append_range(out, fmt::format("HZ-{}", group.letter), group.last);
    }
    // Sub-entries stand in front, so that first and last of the list are the ends of the range.
    out.insert(out.begin() + 1, {"HZ-A3b", "HZ-C6b"});
    return out;
}

std::vector<std::string> make_reserved() {
    std::vector<std::string> out = {"run",    "until", "inject", "on",          "with",        "need_resched", "fail",
                                    "next",   "all",   "allow",  "allocations", "allocation",  "expect",       "user",
                                    "sleeps", "exits", "idle",   "end",         "mark",        "handler",      "deep",
                                    "call",   "irq",   "pf",     "reserve",     "cache",       "hands",        "free",
                                    "leaked", "mapped", "pend",  "loan",        "asleep",      "alive",        "seen"};
    append_words(out, simple_ops);
    append_words(out, counted_ops);
    append_words(out, call_words);
    append_words(out, simple_events);
    return out;
}

}  // namespace

std::optional<abi::Entry> find_entry(std::string_view name) {
    for (const abi::EntryClass& row : abi::seed_literal) {
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
    for (const abi::EntryClass& row : abi::seed_literal) {
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

const std::vector<std::string>& claim_ids() {
    static const std::vector<std::string> list = [] {
        std::vector<std::string> out;
        append_range(out, "C", 8);
        return out;
    }();
    return list;
}

const std::vector<std::string>& hazard_ids() {
    static const std::vector<std::string> list = make_hazards();
    return list;
}

const std::vector<std::string>& check_ids() {
    static const std::vector<std::string> list = [] {
        std::vector<std::string> out;
        append_range(out, "INV-", 33);  // the last of the list is LIVE-8
        append_range(out, "LIVE-", 8);
        return out;
    }();
    return list;
}

}  // namespace stackrig::scenario
