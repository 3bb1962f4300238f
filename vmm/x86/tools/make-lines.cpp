// At build: from a guest's DWARF to the table of source lines that reports read (vmm/x86/lines.hpp).
// Usage, from the folder it was compiled in, for the DWARF names files relative to that: make-lines GUEST.ELF SOURCE_ROOT OUTPUT
#include <cstdio>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>

#include "vmm/x86/elf.hpp"

namespace {

namespace fs = std::filesystem;

struct Row {
    std::size_t file = 0;
    int line = 0;  // 0: the end of a sequence
};

class Files {
  public:
    explicit Files(fs::path root) : root_(std::move(root)) {}
    /// Numbers files by their path below the root; those outside keep their name alone.
    std::size_t index_of(const fs::path& path) {
        const fs::path full = fs::weakly_canonical(path);
        const fs::path relative = full.lexically_relative(root_);
        const bool inside = !relative.empty() && *relative.begin() != "..";
        const auto [found, fresh] = known_.try_emplace(inside ? relative.string() : full.filename().string(), list_.size());
        if (fresh) {
            list_.push_back(found->first);
        }
        return found->second;
    }
    [[nodiscard]] const std::vector<std::string>& list() const { return list_; }
    [[nodiscard]] fs::path path_of(std::size_t index) const { return root_ / list_[index]; }

  private:
    fs::path root_;
    std::map<std::string, std::size_t> known_;
    std::vector<std::string> list_;
};

std::map<Dwarf_Addr, Row> read_rows(Dwarf* dwarf, Files& files) {
    std::map<Dwarf_Addr, Row> rows;
    Dwarf_Off next = 0;
    std::size_t header = 0;
    for (Dwarf_Off at = 0; dwarf_nextcu(dwarf, at, &next, &header, nullptr, nullptr, nullptr) == 0; at = next) {
        Dwarf_Die unit;
        Dwarf_Lines* lines = nullptr;
        std::size_t count = 0;
        if (dwarf_offdie(dwarf, at + header, &unit) == nullptr || dwarf_getsrclines(&unit, &lines, &count) != 0) {
            continue;
        }
        for (std::size_t i = 0; i < count; ++i) {
            Dwarf_Line* line = dwarf_onesrcline(lines, i);
            Dwarf_Addr address = 0;
            int number = 0;
            bool end = false;
            const char* source = dwarf_linesrc(line, nullptr, nullptr);
            dwarf_lineaddr(line, &address);
            dwarf_lineno(line, &number);
            dwarf_lineendsequence(line, &end);
            if (end) {
                rows.try_emplace(address, Row{});
            } else if (number > 0 && source != nullptr) {
                // Several rows at one address: the last one is the innermost.
                rows[address] = {files.index_of(source), number};
            }
        }
    }
    return rows;
}

void write_texts(std::ostream& out, const Files& files, const std::map<Dwarf_Addr, Row>& rows) {
    std::vector<std::set<int>> wanted(files.list().size());
    for (const auto& [address, row] : rows) {
        if (row.line != 0) {
            wanted[row.file].insert(row.line);
        }
    }
    for (std::size_t file = 0; file < wanted.size(); ++file) {
        std::ifstream source(files.path_of(file));
        int number = 0;
        for (std::string text; std::getline(source, text);) {
            const std::size_t start = text.find_first_not_of(" \t");
            if (wanted[file].contains(++number) && start != std::string::npos) {
                out << fmt::format("S {} {} {}\n", file, number, text.substr(start));
            }
        }
    }
}

int complain(const std::string& text) {
    std::fputs(("make-lines: " + text + "\n").c_str(), stderr);
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        return complain("usage: make-lines GUEST.ELF SOURCE_ROOT OUTPUT");
    }
    const auto elf = stackrig::x86::Elf::load(argv[1]);
    if (!elf) {
        return complain(elf.error().text);
    }
    const int file = ::open(argv[1], O_RDONLY | O_CLOEXEC);
    Dwarf* dwarf = dwarf_begin(file, DWARF_C_READ);
    if (dwarf == nullptr) {
        return complain(fmt::format("{} has no debug information: {}", argv[1], dwarf_errmsg(-1)));
    }
    Files files(fs::weakly_canonical(argv[2]));
    const std::map<Dwarf_Addr, Row> rows = read_rows(dwarf, files);
    dwarf_end(dwarf);
    ::close(file);

    std::ofstream out(argv[3], std::ios::binary | std::ios::trunc);
    out << fmt::format("stackrig-lines 1 {:016x}\n", elf->build_hash());
    for (const std::string& name : files.list()) {
        out << "F " << name << "\n";
    }
    write_texts(out, files, rows);
    for (const auto& [address, row] : rows) {
        out << (row.line == 0 ? fmt::format("E {:x}\n", address) : fmt::format("L {:x} {} {}\n", address, row.file, row.line));
    }
    out.close();
    return out ? 0 : complain(fmt::format("{} cannot be written", argv[3]));
}
