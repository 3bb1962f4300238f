// ELF reading by libelf.
#include "vmm/x86/elf.hpp"

#include <algorithm>
#include <cxxabi.h>
#include <fmt/format.h>
#include <fstream>
#include <gelf.h>
#include <iterator>
#include <libelf.h>
#include <memory>

namespace stackrig::x86 {
namespace {

using Handle = std::unique_ptr<::Elf, decltype([](::Elf* elf) { elf_end(elf); })>;

std::uint64_t fnv1a(std::span<const std::byte> bytes) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const std::byte b : bytes) {
        hash = (hash ^ static_cast<std::uint64_t>(b)) * 0x100000001b3;
    }
    return hash;
}

/// C++ names as people write them: without namespaces' outer part and without parameters.
std::string readable(const char* name) {
    int status = 0;
    const std::unique_ptr<char, decltype([](char* p) { std::free(p); })> demangled(
        abi::__cxa_demangle(name, nullptr, nullptr, &status));
    if (status != 0 || demangled == nullptr) {
        return name;
    }
    std::string text(demangled.get());
    for (const std::string_view hidden : {"guest::", "(anonymous namespace)::"}) {
        for (std::size_t at = text.find(hidden); at != std::string::npos; at = text.find(hidden)) {
            text.erase(at, hidden.size());
        }
    }
    // "f() [clone .isra.0]" is f with other parameters; "f() [clone .cold]" is only a part of it that the compiler has put
    // elsewhere: f.cold, lest it be taken for f.
    std::string name_of_part = text.substr(0, text.find('('));
    for (const std::string_view part : {".part", ".cold"}) {
        if (text.find(fmt::format("[clone {}", part)) != std::string::npos) {
            name_of_part += part;
        }
    }
    return name_of_part;
}

}  // namespace

Result<Elf> Elf::load(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return fail_errno(ErrorKind::usage, "open", errno, fmt::format("for {}; build the guest with `ninja -C build`", path));
    }
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return parse(std::vector<std::byte>(data, data + text.size()), path);
}

Result<Elf> Elf::parse(std::vector<std::byte> bytes, std::string path) {
    Elf elf;
    elf.bytes_ = std::move(bytes);
    elf.path_ = std::move(path);
    elf.build_hash_ = fnv1a(elf.bytes_);
    elf_version(EV_CURRENT);
    // elf_memory() takes char* but, opened this way, does not write.
    const Handle handle(elf_memory(reinterpret_cast<char*>(elf.bytes_.data()), elf.bytes_.size()));
    GElf_Ehdr header;
    if (handle == nullptr || elf_kind(handle.get()) != ELF_K_ELF || gelf_getehdr(handle.get(), &header) == nullptr) {
        return fail(ErrorKind::usage, fmt::format("{} is no ELF file", elf.path_));
    }
    if (gelf_getclass(handle.get()) != ELFCLASS64 || header.e_machine != EM_X86_64 || header.e_type != ET_EXEC) {
        return fail(ErrorKind::usage, fmt::format("{} is no executable for x86-64", elf.path_));
    }
    // Section headers come last in the file: without them there are no symbols, and "stripped" would be the wrong advice.
    if (header.e_shoff > elf.bytes_.size() ||
        std::uint64_t{header.e_shentsize} * header.e_shnum > elf.bytes_.size() - header.e_shoff) {
        return fail(ErrorKind::usage, fmt::format("{} is cut off: its section headers lie behind its end. Build it again", elf.path_));
    }
    elf.entry_ = header.e_entry;
    std::size_t count = 0;
    if (elf_getphdrnum(handle.get(), &count) != 0) {
        return fail(ErrorKind::usage, fmt::format("{} is damaged: {}", elf.path_, elf_errmsg(-1)));
    }
    for (std::size_t i = 0; i < count; ++i) {
        GElf_Phdr program;
        if (gelf_getphdr(handle.get(), static_cast<int>(i), &program) == nullptr ||
            program.p_offset > elf.bytes_.size() || program.p_filesz > elf.bytes_.size() - program.p_offset) {
            return fail(ErrorKind::usage, fmt::format("{} is cut off: program header {} points behind its end", elf.path_, i));
        }
        if (program.p_type == PT_LOAD) {
            elf.segments_.push_back({Gpa(program.p_paddr), std::span(elf.bytes_).subspan(program.p_offset, program.p_filesz),
                                     program.p_memsz, Gva(program.p_vaddr)});
        }
    }
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(handle.get(), section)) != nullptr;) {
        GElf_Shdr info;
        Elf_Data* data = elf_getdata(section, nullptr);
        if (gelf_getshdr(section, &info) == nullptr || data == nullptr) {
            continue;
        }
        if (info.sh_type == SHT_SYMTAB) {
            std::string source;  // of the local symbols that follow: "entry_exit"
            for (std::size_t i = 0; i < data->d_size / sizeof(Elf64_Sym); ++i) {
                GElf_Sym symbol;
                if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr || symbol.st_shndx == SHN_UNDEF ||
                    GELF_ST_TYPE(symbol.st_info) == STT_SECTION) {
                    continue;
                }
                const char* name = elf_strptr(handle.get(), info.sh_link, symbol.st_name);
                if (name == nullptr || *name == 0) {
                    continue;
                }
                if (GELF_ST_TYPE(symbol.st_info) == STT_FILE) {
                    source = std::string_view(name).substr(0, std::string_view(name).rfind('.'));
                    continue;
                }
                const std::string text = elf.own_name(readable(name), source, symbol.st_value);
                Symbol& there = elf.by_address_[symbol.st_value];
                // Functions win over bare labels at the same address.
                if (there.name.empty() || (there.size == 0 && symbol.st_size != 0)) {
                    there = {text, symbol.st_size};
                }
            }
        } else if (info.sh_type == SHT_NOTE) {
            GElf_Nhdr note;
            std::size_t name_at = 0;
            std::size_t descriptor_at = 0;
            if (gelf_getnote(data, 0, &note, &name_at, &descriptor_at) != 0) {
                const auto* base = static_cast<const char*>(data->d_buf);
                const std::size_t offset = info.sh_offset + descriptor_at;
                elf.notes_[std::string(base + name_at)] = std::span<const std::byte>(elf.bytes_).subspan(offset, note.n_descsz);
            }
        }
    }
    if (elf.by_name_.empty()) {
        return fail(ErrorKind::usage, fmt::format("{} has no symbols: it was stripped", elf.path_));
    }
    return elf;
}

std::string Elf::own_name(const std::string& name, const std::string& source, std::uint64_t address) {
    if (const auto [there, added] = by_name_.try_emplace(name, address); added || there->second == address) {
        return name;
    }
    std::string longer = source.empty() ? name : fmt::format("{}.{}", source, name);
    for (unsigned n = 2; !by_name_.try_emplace(longer, address).second; ++n) {
        longer = fmt::format("{}.{}", name, n);
    }
    return longer;
}

std::optional<Gva> Elf::find(std::string_view symbol) const {
    const auto found = by_name_.find(symbol);
    return found == by_name_.end() ? std::nullopt : std::optional(Gva(found->second));
}

std::vector<std::string> Elf::names() const {
    std::vector<std::string> names;
    for (const auto& [name, address] : by_name_) {
        names.push_back(name);
    }
    return names;
}

std::map<std::uint64_t, Elf::Symbol>::const_iterator Elf::covering(Gva address) const {
    auto after = by_address_.upper_bound(address.value());
    while (after != by_address_.begin()) {
        const auto& [start, symbol] = *--after;
        if (address.value() == start || address.value() - start < symbol.size) {
            return after;
        }
        if (symbol.size != 0) {
            break;
        }
    }
    return by_address_.end();
}

std::string Elf::describe(Gva address) const {
    const auto found = covering(address);
    if (found == by_address_.end()) {
        return fmt::format("{}", address);
    }
    const auto& [start, symbol] = *found;
    return address.value() == start ? symbol.name : fmt::format("{}+{:#x}", symbol.name, address.value() - start);
}

std::string Elf::symbol_at(Gva address) const {
    const auto found = covering(address);
    return found == by_address_.end() ? fmt::format("{}", address) : found->second.name;
}

std::optional<std::pair<Gva, Gva>> Elf::function_at(Gva address) const {
    auto after = by_address_.upper_bound(address.value());
    while (after != by_address_.begin()) {
        const auto& [start, symbol] = *--after;
        if (symbol.size != 0) {
            const bool inside = address.value() - start < symbol.size;
            return inside ? std::optional(std::pair(Gva(start), Gva(start + symbol.size))) : std::nullopt;
        }
    }
    return std::nullopt;
}

std::span<const std::byte> Elf::bytes_at(Gva address) const {
    for (const ElfSegment& segment : segments_) {
        const std::uint64_t offset = address - segment.address;
        if (address >= segment.address && offset < segment.bytes.size()) {
            return segment.bytes.subspan(offset);
        }
    }
    return {};
}

std::optional<std::span<const std::byte>> Elf::note(std::string_view owner) const {
    const auto found = notes_.find(owner);
    return found == notes_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace stackrig::x86
