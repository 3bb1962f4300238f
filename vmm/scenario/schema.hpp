// The keys of a scenario file as a table: what the loader knows, what editors complete, what the document lists.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "guest/abi/boot_params.hpp"

namespace stackrig::scenario {

struct SchemaKey {
    enum class Type {
        string,
        integer,
        boolean,
        size,       ///< bytes: 512, "6K", "1M"
        word,       ///< one of `words`
        ids,        ///< an array of `words`
        strings,    ///< an array of names or sentences
        table,
        expectation, ///< "pass", or a table
    };
    std::string table;  ///< "guest", "threads.*", "" for the top level
    std::string key;    ///< "*": any name
    Type type = Type::string;
    std::string example;  ///< as written behind the `=`
    std::string meaning;
    std::int64_t least = 0;  ///< integer, size
    std::int64_t most = 0;
    std::vector<std::string> words;
    bool required = false;
};

/// All keys, table by table, in the order in which a file has them.
[[nodiscard]] const std::vector<SchemaKey>& schema();
/// The keys of one table.
[[nodiscard]] std::vector<std::string> keys_of(std::string_view table);

// Limits, shared with the loader.
inline constexpr std::int64_t schema_version = 1;
inline constexpr std::uint64_t least_ram = 4 << 20;
inline constexpr std::uint64_t most_ram = 128 << 20;
inline constexpr std::int64_t most_stops = 1'000'000'000;
inline constexpr std::int64_t most_crowd = abi::max_crowd;
inline constexpr std::int64_t most_important = 99;  ///< priority of a thread; 0 is the least

}  // namespace stackrig::scenario
