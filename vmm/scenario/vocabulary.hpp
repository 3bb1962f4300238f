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
};
inline constexpr Word<abi::OpKind> counted_ops[] = {{"hog", abi::OpKind::hog},
                                                    {"release", abi::OpKind::release}};
inline constexpr Word<abi::Via> call_words[] = {
    {"syscall", abi::Via::syscall64}, {"syscall32", abi::Via::syscall32}, {"int80", abi::Via::int80}};
/// What a kthread writes instead of a call word; it enters nothing.
inline constexpr const char* kthread_call_word = "call";

inline constexpr Word<abi::Sys> system_calls[] = {
    {"null", abi::Sys::null}, {"lock", abi::Sys::lock}, {"unlock", abi::Sys::unlock},
    {"wait", abi::Sys::wait}, {"wake", abi::Sys::wake}, {"yield", abi::Sys::yield},
    {"exit", abi::Sys::exit},
};
static_assert(std::size(system_calls) == static_cast<std::size_t>(abi::Sys::count));
/// lock, unlock, wait and wake name a mutex or an event queue.
[[nodiscard]] constexpr bool takes_object(abi::Sys number) {
    return number == abi::Sys::lock || number == abi::Sys::unlock || number == abi::Sys::wait ||
           number == abi::Sys::wake;
}

/// Events without arguments.
inline constexpr Word<engine::EventKind> simple_events[] = {
    {"nmi", engine::EventKind::nmi},       {"mc", engine::EventKind::machine_check},
    {"db", engine::EventKind::debug},      {"bp", engine::EventKind::int3},
    {"ud", engine::EventKind::invalid_op}, {"gp", engine::EventKind::general_protection},
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
    {"df", abi::Entry::double_fault},
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
