// The table of keys.
#include "vmm/scenario/schema.hpp"

#include "guest/abi/state.hpp"
#include "vmm/scenario/policies.hpp"
#include "vmm/scenario/scenario.hpp"
#include "vmm/scenario/sentence.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {
namespace {

using Type = SchemaKey::Type;

constexpr std::int64_t most_pages = abi::stash_capacity;
constexpr std::int64_t most_free = most_ram / abi::page_bytes;

std::vector<std::string> with(std::vector<std::string> words, const char* more) {
    words.emplace_back(more);
    return words;
}

void add_guest(std::vector<SchemaKey>& keys) {
    const std::string t = "guest";
    keys.insert(keys.end(), {
        {t, "scheme", Type::word, "\"entry-exit\"", "entry-exit: the mail's; fixed: 16K for life", 0, 0, {"entry-exit", "fixed"}},
        {t, "cpus", Type::integer, "1", "CPUs of the guest", 1, abi::max_cpus},
        {t, "cache_pages", Type::integer, "3", "in each CPU's stack page cache at the start", 0, most_pages},
        {t, "reserve_pages", Type::integer, "3", "in each CPU's reserve at the start", 0, most_pages},
        {t, "free_pages", Type::integer, "0", "left to the allocator once all threads exist; left out: all of RAM", 0, most_free},
        {t, "ram", Type::size, "\"16M\"", "a multiple of 2M", least_ram, most_ram},
        {t, "depth", Type::table, "", "bytes of stack that each entry's handler uses"},
        {t, "softirq", Type::size, "\"2K\"", "device interrupts raise a softirq that uses so much stack; 0: none", 0, deepest},
        {t, "reclaim", Type::size, "\"5K\"", "stack that reclaim uses when memory has run out; 0: there is none", 0, deepest},
        {t, "bail_outs", Type::strings, "[\"page_fault\"]", "entries that return early when they come from the kernel"},
        {t, "offline", Type::strings, "[\"cpu1\"]", "CPUs that are down at boot"},
        {t, "crowd", Type::integer, "0", "more user threads that sleep from the start", 0, most_crowd},
        {t, "cache_cap", Type::integer, "12", "pages a cache keeps; the rest go back to the allocator", 0, most_pages},
        {t, "pool_pages", Type::integer, "3", "of the emergency pool", 0, most_pages},
    });
    for (const PolicyKey& policy : policy_keys()) {
        const bool repair = std::string_view(policy.key) == "repair";
        keys.push_back({t, policy.key, Type::word, "\"" + policy.words.front() + "\"",
                        std::string(policy.question) + (repair ? "; \"proposed\": the best of every policy" : ""), 0, 0,
                        repair ? with(policy.words, "proposed") : policy.words});
    }
    for (const std::string& entry : entry_names()) {
        keys.push_back({"guest.depth", entry, Type::size, "\"6K\"", "stack its handler uses", 0, deepest});
    }
}

void add_variant(std::vector<SchemaKey>& keys) {
    const char* changeable[] = {"why", "claims", "hazards", "requires", "expect", "schedule", "guest", "threads", "run", "check"};
    const std::vector<SchemaKey> file = keys;
    keys.push_back({"variants", "*", Type::table, "", "the file's run with these keys changed; a name of a-z, 0-9 and -"});
    for (const char* key : changeable) {
        for (SchemaKey row : file) {
            if (row.table.empty() && row.key == key) {
                row.table = "variants.*";
                row.required = false;
                keys.push_back(row);
            }
        }
    }
}

std::vector<SchemaKey> all_keys() {
    std::vector<SchemaKey> keys = {
        {"", "schema", Type::integer, "1", "version of this format", schema_version, schema_version, {}, true},
        {"", "name", Type::string, "\"two-ticks\"", "a-z, 0-9 and -: as a rule the file's name without .toml", 0, 0, {}, true},
        {"", "why", Type::string, "\"Two ticks in a row find the reserve whole.\"", "what breaks if this goes wrong? One or two sentences", 0, 0, {}, true},
        {"", "claims", Type::ids, "[\"C7\"]", "sentences of the mail it speaks to; ./rig list claims", 0, 0, claims().ids},
        {"", "hazards", Type::ids, "[\"HZ-B3\"]", "ids of the hazard catalogue", 0, 0, hazards().ids},
        {"", "requires", Type::strings, "[\"inject.irq\"]", "what the host must be able to do; missing: SKIP with the reason"},
        {"", "expect", Type::expectation, "\"pass\"", "left out, or \"pass\": nothing may fire"},
        {"", "schedule", Type::strings, "[\"run\"]", "what happens, in order; better in [run]"},
        {"", "guest", Type::table, "", "the guest kernel's configuration"},
        {"", "threads", Type::table, "", "its threads, one table each, started in the order of the file", 0, 0, {}, true},
        {"", "run", Type::table, "", "what happens"},
        {"", "check", Type::table, "", "predicates, besides the invariants"},
        {"", "explore", Type::table, "", "what ./rig sweep tries at every boundary"},
        {"", "replay", Type::table, "", "of a counterexample: where it was found; written by the rig"},
        {"", "variants", Type::table, "", "more runs of the same file"},
        {"expect", "violation", Type::word, "\"INV-19\"", "the run stops when it fires; any other id is a failure, but for those that `./rig explain ID` says lead to it", 0, 0, checks().ids, true},
        {"expect", "also", Type::ids, "[\"INV-17\"]", "each must have fired before", 0, 0, checks().ids},
    };
    add_guest(keys);
    keys.insert(keys.end(), {
        {"threads", "*", Type::table, "", "1 to 15 letters, digits, _ and -, a letter first"},
        {"threads.*", "kind", Type::word, "\"user\"", "worker: a user thread that stays in the kernel", 0, 0, {"user", "kthread", "worker"}},
        {"threads.*", "cpu", Type::integer, "0", "the CPU it starts on", 0, abi::max_cpus - 1},
        {"threads.*", "program", Type::strings, "[\"syscall null\", \"spin\"]", "its operations, in order", 0, 0, {}, true},
        {"threads.*", "loop", Type::boolean, "false", "true: start over at the end"},
        {"threads.*", "priority", Type::integer, "5", "when it waits for pages under wait = \"priority\": higher comes first", 0, most_important},
        {"threads.*", "forked", Type::boolean, "false", "true: exists only after a fork of it"},
        {"run", "schedule", Type::strings, "[\"run A until user\", \"inject nmi on cpu0\", \"run\"]", "steps, in order"},
        {"run", "decisions", Type::strings, "[\"inject nmi at do_syscall_64+0x10 #2\"]", "events at named boundaries, as counterexamples have them"},
        {"run", "max_stops", Type::integer, "100000", "more: INCOMPLETE, never a pass", 1, most_stops},
        {"run", "check", Type::word, "\"stop\"", "instruction: the oracle looks at every instruction", 0, 0, {"stop", "instruction"}},
        {"check", "always", Type::strings, "[\"reserve.users(cpu0) <= 1\"]", "true at every stop"},
        {"check", "sometimes", Type::strings, "[\"reserve(cpu0) == 0\"]", "true at one stop at least: otherwise the run was VACUOUS"},
        {"check", "finally", Type::strings, "[\"leaked == 0\"]", "true at the end"},
        {"check", "tlb", Type::word, "\"demand\"", "what CPUs cache: arch, whatever is mapped (SDM 4.10.2.3); demand, what they use", 0, 0, {"arch", "demand"}},
    });
    keys.insert(keys.end(), {
        {"explore", "sweep", Type::table, "", "one event at each boundary of the run", 0, 0, {}, true},
        {"explore.sweep", "events", Type::ids, "[\"nmi\", \"irq\", \"mc\"]", "what to try", 0, 0, sweep_words(), true},
        {"explore.sweep", "at", Type::strings, "[\"do_syscall_64\"]", "functions; left out: the whole kernel"},
        {"explore.sweep", "user", Type::boolean, "true", "boundaries of user code as well"},
        {"explore.sweep", "pairs", Type::word, "\"none\"",
         "a second one behind each first; all: everywhere, fast: one first per function and state, which is not sound", 0, 0, pairs_words()},
        {"replay", "guest", Type::string, "\"0123456789abcdef\"", "build of the guest, 16 hex digits", 0, 0, {}, true},
        {"replay", "trace", Type::string, "\"0123456789abcdef\"", "trace hash of the run, 16 hex digits", 0, 0, {}, true},
    });
    add_variant(keys);
    return keys;
}

}  // namespace

const std::vector<SchemaKey>& schema() {
    static const std::vector<SchemaKey> keys = all_keys();
    return keys;
}

std::vector<std::string> keys_of(std::string_view table) {
    std::vector<std::string> out;
    for (const SchemaKey& row : schema()) {
        if (row.table == table) {
            out.push_back(row.key);
        }
    }
    return out;
}

}  // namespace stackrig::scenario
