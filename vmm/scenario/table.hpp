// Typed access to one TOML table: wrong types, ranges and unknown keys are reported here. Private to
// vmm/scenario.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/scenario/document.hpp"
#include "vmm/scenario/vocabulary.hpp"

namespace stackrig::scenario {

/// One table and its place in the schema. Every getter returns nothing when the key is absent or wrong, and
/// reports the latter.
class Table {
  public:
    /// `name` as in messages: "[guest]"; empty for the top level.
    Table(const Value& value, std::string name, Reporter& reporter)
        : value_(value), name_(std::move(name)), reporter_(reporter) {}

    [[nodiscard]] const Value& value() const { return value_; }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] bool has(std::string_view key) const { return value_.member(key) != nullptr; }

    /// Reports each key that is not in `known`, with the nearest known one or the table where it belongs.
    /// `silent`: a key that gets its own, better message elsewhere.
    void only(const std::vector<std::string>& known, std::string_view silent = {}) const;
    void missing(std::string_view key, std::string hint) const;

    [[nodiscard]] std::optional<std::string> string(std::string_view key) const;
    /// `hint`: what to do about a number out of range.
    [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key, std::int64_t least,
                                                      std::int64_t most, std::string hint = {}) const;
    [[nodiscard]] std::optional<bool> boolean(std::string_view key) const;
    /// Bytes: 512, "6K", "1M".
    [[nodiscard]] std::optional<std::uint64_t> size(std::string_view key, std::uint64_t least,
                                                    std::uint64_t most) const;
    /// Index of the string among `choices`.
    [[nodiscard]] std::optional<std::size_t> choice(std::string_view key,
                                                    const std::vector<std::string>& choices) const;
    /// The strings of an array, other items reported and left out.
    [[nodiscard]] std::vector<const Value*> strings(std::string_view key) const;
    /// An array of known ids, each at most once.
    [[nodiscard]] std::vector<std::string> ids(std::string_view key, const IdList& known) const;
    /// One known id.
    [[nodiscard]] std::optional<std::string> id(std::string_view key, const IdList& known) const;
    [[nodiscard]] std::optional<Table> table(std::string_view key) const;

    void error(Span at, std::string text, std::string hint = {}) const {
        reporter_.error(at, std::move(text), std::move(hint));
    }
    [[nodiscard]] Reporter& reporter() const { return reporter_; }

  private:
    [[nodiscard]] bool check_id(const Value& value, const IdList& known) const;
    /// The member if it is of that kind; another kind is reported.
    [[nodiscard]] const Value* get(std::string_view key, Value::Kind kind, const char* example) const;
    [[nodiscard]] std::string path(std::string_view key) const;

    const Value& value_;
    std::string name_;
    Reporter& reporter_;
};

}  // namespace stackrig::scenario
