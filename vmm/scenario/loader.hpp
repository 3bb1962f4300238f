// The state of loading one file: the scenario so far, and the names that sentences may use. Private to
// vmm/scenario.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "vmm/scenario/names.hpp"
#include "vmm/scenario/scenario.hpp"
#include "vmm/scenario/table.hpp"

namespace stackrig::scenario {

/// Fills `scenario` table by table. Order matters where sentences need names: guest, threads, programs,
/// schedule.
class Loader {
  public:
    Loader(const Table& root, const SymbolSource& symbols)
        : root_(root), reporter_(root.reporter()), names_{symbols, {}, 1, 0} {}

    Scenario run();

  private:
    void header();
    void expectation();
    void capabilities();
    void guest();
    void scheme(const Table& guest);
    void memory(const Table& guest);
    void entry_list(const Table& guest);
    void cpu_list(const Table& guest);
    void depths(const Table& guest);
    void threads();
    void thread(const Member& member);
    void program(const Table& table, std::size_t index);
    [[nodiscard]] std::optional<abi::Op> read_for_any_kind(const Value& sentence);
    void unreachable(const std::vector<const Value*>& sentences,
                     const std::vector<std::optional<abi::Op>>& ops, const Member* loop);
    void schedule();
    [[nodiscard]] std::vector<const Value*> find_schedule();
    void checks();
    [[nodiscard]] std::vector<CheckedPredicate> predicates(const Table& check, const char* key);
    void budget();
    void explore();
    void recorded();
    void decisions(const Table& run);

    const Table& root_;
    Reporter& reporter_;
    Names names_;
    Scenario scenario_;
    std::set<std::size_t> of_unknown_kind_;  // threads, by index
};

/// The sentence of a TOML string.
[[nodiscard]] inline const Piece& piece_of(const Value& value) { return value.text; }

}  // namespace stackrig::scenario
