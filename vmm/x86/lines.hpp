// Which source line an instruction comes from: the table that make-lines wrote from the guest's DWARF.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"

namespace stackrig::x86 {

struct SourceLine {
    std::string file;  ///< below the source root: "guest/stack/entry_exit.cpp"
    std::uint32_t line = 0;
    std::string text;  ///< as it was when the guest was built, without leading blanks
};

/// Text, so that the program needs no DWARF reader, and with the source lines themselves, so that they are those of this build:
///   stackrig-lines 1 HASH     of the ELF (Elf::build_hash), 16 hex digits
///   F PATH                    files, numbered from 0
///   S FILE LINE TEXT          a source line
///   L ADDRESS FILE LINE       from ADDRESS (hex) on; ascending
///   E ADDRESS                 nothing is known from ADDRESS on
class LineTable {
  public:
    /// Errors (usage): no such table, or one of another build than `build_hash`.
    static Result<LineTable> parse(std::string_view text, std::uint64_t build_hash);
    static Result<LineTable> load(const std::string& path, std::uint64_t build_hash);

    [[nodiscard]] std::optional<SourceLine> find(Gva address) const;

  private:
    struct Row {
        std::uint32_t file = 0;
        std::uint32_t line = 0;  ///< 0: nothing is known
    };
    std::vector<std::string> files_;
    std::map<std::uint64_t, Row> rows_;
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> texts_;
};

}  // namespace stackrig::x86
