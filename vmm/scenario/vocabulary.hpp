// Every word a scenario may use for something the ABI or the documents name, with its meaning.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/engine/plan.hpp"

namespace stackrig::scenario {

template <class T>
struct Word {
    const char* text;
    T value;
};

inline constexpr Word<abi::OpKind> simple_ops[] = {
    {"spin", abi::OpKind::spin}, {"touch", abi::OpKind::touch}, {"int3", abi::OpKind::int3},
    {"step", abi::OpKind::step}, {"ud2", abi::OpKind::ud2},     {"gp", abi::OpKind::gp},
    {"de", abi::OpKind::de},     {"exit", abi::OpKind::end},
    {"touch_kernel", abi::OpKind::touch_kernel}, {"cli", abi::OpKind::irqs_off}, {"exec", abi::OpKind::exec},
};
/// Those that kthreads and workers may run.
[[nodiscard]] constexpr bool for_kthreads(abi::OpKind op) { return op == abi::OpKind::end || op == abi::OpKind::exec; }
/// kthreads only, with a CPU behind the word.
inline constexpr Word<abi::OpKind> cpu_ops[] = {{"up", abi::OpKind::cpu_up}, {"down", abi::OpKind::cpu_down}};
inline constexpr Word<abi::OpKind> counted_ops[] = {{"hog", abi::OpKind::hog},
                                                    {"release", abi::OpKind::release}};
inline constexpr Word<abi::Via> call_words[] = {
    {"syscall", abi::Via::syscall64}, {"syscall32", abi::Via::syscall32}, {"int80", abi::Via::int80}};
/// What a kthread writes instead of a call word; it enters nothing.
inline constexpr const char* kthread_call_word = "call";

inline constexpr Word<abi::Sys> system_calls[] = {
    {"null", abi::Sys::null}, {"lock", abi::Sys::lock}, {"unlock", abi::Sys::unlock},
    {"wait", abi::Sys::wait}, {"wake", abi::Sys::wake}, {"yield", abi::Sys::yield},
    {"exit", abi::Sys::exit}, {"fork", abi::Sys::fork}, {"kill", abi::Sys::kill},
    {"migrate", abi::Sys::migrate}, {"dump", abi::Sys::dump}, {"wake_late", abi::Sys::wake_late}, {"bad_iret", abi::Sys::bad_iret},
};
static_assert(std::size(system_calls) == static_cast<std::size_t>(abi::Sys::count));
/// What a host may be able to do, for `requires`; the probe tries each (a test holds the two lists together).
inline constexpr const char* host_capabilities[] = {
    "int3.kernel", "syscall.64", "step.iretq", "inject.nmi", "inject.irq", "guest_debug", "dirty_log", "inject.mc", "inject.exception",
    "syscall.compat", "shadow.set", "slot.readonly", "sync_regs", "tlb.stale", "smep", "smap", "fsgsbase"};
/// What stands behind the name of a system call.
enum class Argument { none, object, thread, cpu };
[[nodiscard]] constexpr Argument argument_of(abi::Sys number) {
    switch (number) {
        case abi::Sys::lock:
        case abi::Sys::unlock:
        case abi::Sys::wait:
        case abi::Sys::wake:
        case abi::Sys::wake_late: return Argument::object;  // a mutex or an event queue
        case abi::Sys::fork:
        case abi::Sys::kill:
        case abi::Sys::dump: return Argument::thread;
        case abi::Sys::migrate: return Argument::cpu;
        default: return Argument::none;
    }
}

/// Events without arguments.
inline constexpr Word<engine::EventKind> simple_events[] = {
    {"nmi", engine::EventKind::nmi},       {"mc", engine::EventKind::machine_check},
    {"db", engine::EventKind::debug},      {"bp", engine::EventKind::int3},
};
/// Exceptions by their vectors, as KVM raises them.
inline constexpr Word<std::uint8_t> exceptions[] = {
    {"de", 0}, {"of", 4}, {"br", 5}, {"ud", 6}, {"nm", 7}, {"ts", 10}, {"np", 11}, {"ss", 12}, {"gp", 13}, {"mf", 16}, {"ac", 17}, {"xf", 19},
};
inline constexpr Word<std::uint8_t> irq_names[] = {{"timer", abi::timer_vector},
                                                   {"device", abi::device_vector}};

inline constexpr Word<abi::Mark> marks[] = {
#define X(name, number, text, args) {text, abi::Mark::name},
    STACKRIG_MARKS(X)
#undef X
};

/// Short names of entries, beside those of the class table.
inline constexpr Word<abi::Entry> entry_aliases[] = {
    {"syscall", abi::Entry::syscall64}, {"pf", abi::Entry::page_fault},
    {"db", abi::Entry::debug},          {"bp", abi::Entry::int3},
    {"ud", abi::Entry::invalid_op},     {"gp", abi::Entry::general_protection},
    {"de", abi::Entry::divide_error},   {"mc", abi::Entry::machine_check},
    {"df", abi::Entry::double_fault},   {"of", abi::Entry::overflow},
    {"br", abi::Entry::bounds},         {"nm", abi::Entry::device_not_available},
    {"ts", abi::Entry::invalid_tss},    {"np", abi::Entry::segment_not_present},
    {"ss", abi::Entry::stack_segment},  {"ac", abi::Entry::alignment_check},
    {"mf", abi::Entry::x87},            {"xf", abi::Entry::simd},
    {"apf", abi::Entry::async_page_fault},
};
/// The entry of `handler(NAME)`.
[[nodiscard]] std::optional<abi::Entry> find_handler(std::string_view name);
/// The entry of a `[guest.depth]` key: a name of the class table.
[[nodiscard]] std::optional<abi::Entry> find_entry(std::string_view name);
[[nodiscard]] std::vector<std::string> handler_names();
[[nodiscard]] std::vector<std::string> entry_names();

template <class Table>
[[nodiscard]] auto find_word(const Table& table, std::string_view text)
    -> std::optional<decltype(std::begin(table)->value)> {
    const auto found =
        std::find_if(std::begin(table), std::end(table), [&](const auto& w) { return text == w.text; });
    return found == std::end(table) ? std::nullopt : std::optional(found->value);
}
template <class Table>
[[nodiscard]] const char* word_of(const Table& table, const decltype(std::begin(table)->value)& value) {
    return std::find_if(std::begin(table), std::end(table), [&](const auto& w) { return w.value == value; })
        ->text;
}
template <class Table>
[[nodiscard]] std::vector<std::string> words(const Table& table) {
    std::vector<std::string> out;
    for (const auto& word : table) {
        out.emplace_back(word.text);
    }
    return out;
}

/// Words of the grammar: no thread may be called so.
[[nodiscard]] const std::vector<std::string>& reserved_words();
/// "cpu" and digits.
[[nodiscard]] bool looks_like_cpu(std::string_view word);

/// Ids of one sort that a scenario may name.
struct IdList {
    const char* what;   ///< "claim"
    const char* range;  ///< "there are C1 to C8"
    std::vector<std::string> ids;
    std::vector<std::string> planned;  ///< ids that the documents have and this build does not
    [[nodiscard]] bool has(std::string_view id) const {
        return std::find(ids.begin(), ids.end(), id) != ids.end();
    }
};
[[nodiscard]] const IdList& claims();   ///< of the mail
[[nodiscard]] const IdList& hazards();  ///< of the hazard catalogue
[[nodiscard]] const IdList& checks();   ///< of the oracle

}  // namespace stackrig::scenario
