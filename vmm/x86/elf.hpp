// An ELF64 image: what to load, its symbols both ways, its ABI note, and the identity of the build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"

namespace stackrig::x86 {

/// One PT_LOAD program header.
struct ElfSegment {
    Gpa physical;
    std::span<const std::byte> bytes;  ///< what the file holds; the rest up to memory_bytes is zero
    std::uint64_t memory_bytes = 0;
    Gva address;  ///< where it runs
};

class Elf {
  public:
    /// Parses `bytes`, keeping them. Errors (usage) tell apart: no ELF, not for x86-64, cut off, without symbols; each names `path`.
    static Result<Elf> parse(std::vector<std::byte> bytes, std::string path);
    /// Reads and parses a file.
    static Result<Elf> load(const std::string& path);

    [[nodiscard]] std::uint64_t entry() const { return entry_; }
    [[nodiscard]] const std::vector<ElfSegment>& segments() const { return segments_; }
    [[nodiscard]] std::optional<Gva> find(std::string_view symbol) const;
    [[nodiscard]] std::vector<std::string> names() const;
    /// A name that find() takes back: "do_syscall_64+0x10", "do_syscall_64", or the bare address when no symbol is near enough (its size covers it).
    [[nodiscard]] std::string describe(Gva address) const;
    /// The same without the offset: "do_syscall_64".
    [[nodiscard]] std::string symbol_at(Gva address) const;
    /// Start and end of the function that `address` lies in; nothing for bare labels.
    [[nodiscard]] std::optional<std::pair<Gva, Gva>> function_at(Gva address) const;
    /// The file's bytes from `address` on, to the end of its segment; empty outside of all.
    [[nodiscard]] std::span<const std::byte> bytes_at(Gva address) const;
    /// Descriptor of the note with this owner name, if there is one.
    [[nodiscard]] std::optional<std::span<const std::byte>> note(std::string_view owner) const;
    /// FNV-1a of the file: two builds that differ anywhere differ here.
    [[nodiscard]] std::uint64_t build_hash() const { return build_hash_; }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    /// Enters a symbol under a name that no other address has: "enter", and where that is taken "fixed.enter" or "enter.2".
    std::string own_name(const std::string& name, const std::string& source, std::uint64_t address);

    struct Symbol {
        std::string name;
        std::uint64_t size = 0;
    };
    /// The symbol that `address` lies in, or at whose start; the end if none.
    [[nodiscard]] std::map<std::uint64_t, Symbol>::const_iterator covering(Gva address) const;

    std::vector<std::byte> bytes_;
    std::string path_;
    std::uint64_t entry_ = 0;
    std::uint64_t build_hash_ = 0;
    std::vector<ElfSegment> segments_;
    std::map<std::string, std::uint64_t, std::less<>> by_name_;
    std::map<std::uint64_t, Symbol> by_address_;
    std::map<std::string, std::span<const std::byte>, std::less<>> notes_;
};

}  // namespace stackrig::x86
