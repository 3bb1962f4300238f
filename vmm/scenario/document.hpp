// A TOML file as a tree of values in file order, each with its place. Hides toml++; knows no keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/scenario/diagnostic.hpp"

namespace stackrig::scenario {

struct Member;

struct Value {
    enum class Kind { string, integer, real, boolean, date, array, table };
    Kind kind = Kind::table;
    Span span;   ///< of the value; of a table with a [header]: the header
    Piece text;  ///< string
    std::int64_t integer = 0;
    bool boolean = false;
    std::vector<Value> items;     ///< array
    std::vector<Member> members;  ///< table, in the order of the file

    [[nodiscard]] const Member* member(std::string_view key) const;
};

struct Member {
    std::string key;
    Span span;  ///< of the key
    Value value;
};

/// "a string", "an integer", ...
[[nodiscard]] const char* name_of(Value::Kind kind);

/// The root table; nothing when the file is no TOML, with the one error the TOML parser gives.
[[nodiscard]] std::optional<Value> parse_document(const SourceText& source, Reporter& reporter);

}  // namespace stackrig::scenario
