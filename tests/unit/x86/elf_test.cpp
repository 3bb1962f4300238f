// The ELF reader on images built here, and on every way they can be broken.
#include <gtest/gtest.h>

#include <elf.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "vmm/x86/elf.hpp"

namespace stackrig::x86 {
namespace {

/// An executable of one 16-byte segment at 0x100000, a symbol table and a note, as a linker would lay it out.
class Image {
  public:
    Image() {
        put(names_at, std::string_view("\0.symtab\0.strtab\0.note\0", 23));
        put(strings_at, std::string_view("\0start\0_ZN5guest6do_irqEPv\0label\0_Z4callv.isra.0\0_Z4callv.cold\0", 63));
        put(text_at, std::string_view("0123456789abcdef"));
        symbol(1, 1, 0x100000, 8, STT_FUNC);
        symbol(2, 7, 0x100008, 4, STT_FUNC);
        symbol(3, 27, 0x10000e, 0, STT_NOTYPE);
        const Elf64_Nhdr note{.n_namesz = 9, .n_descsz = 4, .n_type = 1};
        put(note_at, note);
        put(note_at + sizeof note, std::string_view("stackrig\0\0\0\0\x07\0\0\0", 16));
        header = {.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_entry = 0x100004,
                  .e_phoff = sizeof header, .e_shoff = sections_at, .e_ehsize = sizeof header, .e_phentsize = sizeof(Elf64_Phdr),
                  .e_phnum = 1, .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 5, .e_shstrndx = 4};
        std::memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_ident[EI_VERSION] = EV_CURRENT;
        program = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = text_at, .p_vaddr = 0xffffffff80100000,
                   .p_paddr = 0x100000, .p_filesz = 16, .p_memsz = 64, .p_align = 4096};
        sections[1] = {.sh_name = 1, .sh_type = SHT_SYMTAB, .sh_offset = symbols_at, .sh_size = 4 * sizeof(Elf64_Sym), .sh_link = 2,
                       .sh_entsize = sizeof(Elf64_Sym)};
        sections[2] = {.sh_name = 9, .sh_type = SHT_STRTAB, .sh_offset = strings_at, .sh_size = 63};
        sections[3] = {.sh_name = 17, .sh_type = SHT_NOTE, .sh_offset = note_at, .sh_size = sizeof note + 16, .sh_addralign = 4};
        sections[4] = {.sh_type = SHT_STRTAB, .sh_offset = names_at, .sh_size = 23};
    }

    [[nodiscard]] std::vector<std::byte> bytes() {
        put(0, header);
        put(sizeof header, program);
        put(sections_at, sections);
        return bytes_;
    }
    [[nodiscard]] Result<Elf> parse() { return Elf::parse(bytes(), "image"); }
    [[nodiscard]] std::string error() {
        const auto elf = parse();
        return elf ? "(no error)" : elf.error().text;
    }

    /// The label gets the name of the first function, as static functions of two files may have.
    void name_the_label_start() { symbol(3, 1, 0x10000e, 0, STT_NOTYPE); }

    /// One function, whose parameters the compiler has changed, and a part of it that lies elsewhere.
    void split_a_function() {
        symbol(1, 33, 0x100000, 8, STT_FUNC);
        symbol(2, 49, 0x100008, 4, STT_FUNC);
    }

    Elf64_Ehdr header{};
    Elf64_Phdr program{};
    Elf64_Shdr sections[5]{};

  private:
    static constexpr std::size_t text_at = 0x100;
    static constexpr std::size_t symbols_at = 0x140;
    static constexpr std::size_t strings_at = 0x200;
    static constexpr std::size_t names_at = 0x240;
    static constexpr std::size_t note_at = 0x280;
    static constexpr std::size_t sections_at = 0x300;

    void put(std::size_t at, std::string_view text) { std::memcpy(bytes_.data() + at, text.data(), text.size()); }
    template <class T>
    requires std::is_trivially_copyable_v<T>
    void put(std::size_t at, const T& value) { std::memcpy(bytes_.data() + at, &value, sizeof value); }
    void symbol(unsigned index, unsigned name, std::uint64_t address, std::uint64_t size, unsigned type) {
        put(symbols_at + index * sizeof(Elf64_Sym),
            Elf64_Sym{.st_name = name, .st_info = static_cast<unsigned char>(ELF64_ST_INFO(STB_GLOBAL, type)), .st_shndx = 1,
                      .st_value = address, .st_size = size});
    }

    std::vector<std::byte> bytes_ = std::vector<std::byte>(0x300 + 5 * sizeof(Elf64_Shdr));
};

TEST(ElfReader, SegmentsSymbolsAndNotesAreThere) {
    const auto elf = Image().parse();
    ASSERT_TRUE(elf) << elf.error().text;
    EXPECT_EQ(elf->entry(), 0x100004u);
    ASSERT_EQ(elf->segments().size(), 1u);
    EXPECT_EQ(elf->segments()[0].physical, Gpa(0x100000)) << "p_paddr, not p_vaddr";
    EXPECT_EQ(elf->segments()[0].bytes.size(), 16u);
    EXPECT_EQ(elf->segments()[0].bytes[1], std::byte{'1'});
    EXPECT_EQ(elf->segments()[0].memory_bytes, 64u);
    EXPECT_EQ(elf->find("start"), Gva(0x100000));
    EXPECT_EQ(elf->find("do_irq"), Gva(0x100008)) << "without namespace and parameters";
    EXPECT_FALSE(elf->find("_ZN5guest6do_irqEPv").has_value());
    const auto note = elf->note("stackrig");
    ASSERT_TRUE(note.has_value());
    ASSERT_EQ(note->size(), 4u);
    EXPECT_EQ((*note)[0], std::byte{7});
    EXPECT_FALSE(elf->note("other").has_value());
}

TEST(ElfReader, AnAddressIsDescribedByTheSymbolThatCoversIt) {
    const auto elf = Image().parse();
    ASSERT_TRUE(elf);
    EXPECT_EQ(elf->describe(Gva(0x100000)), "start");
    EXPECT_EQ(elf->describe(Gva(0x100007)), "start+0x7");
    EXPECT_EQ(elf->describe(Gva(0x10000b)), "do_irq+0x3");
    EXPECT_EQ(elf->describe(Gva(0x10000c)), "0x10000c") << "behind its end, before the next";
    EXPECT_EQ(elf->describe(Gva(0x10000e)), "label") << "a label without a size names its own address only";
    EXPECT_EQ(elf->describe(Gva(0x10000f)), "0x10000f");
    EXPECT_EQ(elf->describe(Gva(0)), "0x0");
}

TEST(ElfReader, EveryDescriptionLeadsBackToItsAddressAlsoWhereTwoSymbolsHaveOneName) {
    Image image;
    image.name_the_label_start();
    const auto elf = image.parse();
    ASSERT_TRUE(elf);
    EXPECT_EQ(elf->describe(Gva(0x100000)), "start");
    EXPECT_EQ(elf->find("start"), Gva(0x100000));
    const std::string other = elf->describe(Gva(0x10000e));
    EXPECT_EQ(other, "start.2");
    EXPECT_EQ(elf->find(other), Gva(0x10000e));
}

TEST(ElfReader, WhatTheCompilerMadeOfAFunctionIsTheFunctionButForPartsOfIt) {
    Image image;
    image.split_a_function();
    const auto elf = image.parse();
    ASSERT_TRUE(elf);
    EXPECT_EQ(elf->describe(Gva(0x100000)), "call");
    EXPECT_EQ(elf->describe(Gva(0x100008)), "call.cold");
}

TEST(ElfReader, TheHashTellsBuildsApart) {
    Image one;
    Image two;
    two.program.p_memsz += 1;
    EXPECT_EQ(one.parse()->build_hash(), Image().parse()->build_hash());
    EXPECT_NE(one.parse()->build_hash(), two.parse()->build_hash());
}

TEST(ElfReader, EachDefectHasItsOwnMessage) {
    EXPECT_EQ(Elf::parse({}, "image").error().text, "image is no ELF file");
    Image arm;
    arm.header.e_machine = EM_AARCH64;
    EXPECT_EQ(arm.error(), "image is no executable for x86-64");
    Image shared;
    shared.header.e_type = ET_DYN;
    EXPECT_EQ(shared.error(), "image is no executable for x86-64");
    Image text;
    text.header.e_ident[1] = 'e';
    EXPECT_EQ(text.error(), "image is no ELF file");
    Image stripped;
    stripped.sections[1].sh_type = SHT_PROGBITS;
    EXPECT_EQ(stripped.error(), "image has no symbols: it was stripped");
    Image far;
    far.program.p_offset = 1 << 20;
    EXPECT_EQ(far.error(), "image is cut off: program header 0 points behind its end");
    Image cut;
    cut.header.e_shoff = 1 << 20;
    EXPECT_EQ(cut.error(), "image is cut off: its section headers lie behind its end. Build it again");
    const auto missing = Elf::load("/nonexistent/guest.elf");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().text,
              "open: ENOENT (No such file or directory) for /nonexistent/guest.elf; build the guest with `ninja -C build`");
}

TEST(ElfReader, AFileCutOffAnywhereIsAnErrorAndSaysSo) {
    const auto whole = Image().bytes();
    for (std::size_t size = 1; size < whole.size(); ++size) {
        auto part = whole;
        part.resize(size);
        const auto elf = Elf::parse(std::move(part), "image");
        ASSERT_FALSE(elf) << size;
        if (size >= sizeof(Elf64_Ehdr)) {
            EXPECT_NE(elf.error().text.find("cut off"), std::string::npos) << size << ": " << elf.error().text;
        }
    }
}

TEST(ElfReader, ASymbolTableWithoutEntrySizeDoesNotKillTheProgram) {
    Image image;
    image.sections[1].sh_entsize = 0;
    const auto elf = image.parse();
    EXPECT_TRUE(!elf || elf->find("start") == Gva(0x100000));
}

// Any bytes may come from a user's command line; under the sanitizers this finds reads outside the file.
TEST(ElfReader, RandomDamageEndsInAResult) {
    const auto whole = Image().bytes();
    std::mt19937_64 random(1);
    unsigned accepted = 0;
    for (int round = 0; round < 5000; ++round) {
        auto bytes = whole;
        for (int i = 0; i < 3; ++i) {
            bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        }
        if (const auto elf = Elf::parse(std::move(bytes), "image")) {
            ++accepted;
            (void)elf->describe(Gva(0x100003));
        }
    }
    EXPECT_GT(accepted, 0u);
}

TEST(ElfTest, CodeIsFoundByAddressAndByFunction) {
    Image image;
    const auto elf = image.parse();
    ASSERT_TRUE(elf) << elf.error().text;
    const auto function = elf->function_at(Gva(0x10000a));
    ASSERT_TRUE(function);
    EXPECT_EQ(function->first, Gva(0x100008));
    EXPECT_EQ(function->second, Gva(0x10000c));
    EXPECT_FALSE(elf->function_at(Gva(0x10000c))) << "the first byte behind it";
    EXPECT_FALSE(elf->function_at(Gva(0x10000e))) << "a label covers nothing";
    const auto bytes = elf->bytes_at(Gva(0xffffffff80100004));
    ASSERT_EQ(bytes.size(), 12u) << "to the end of what the file holds";
    EXPECT_EQ(bytes[0], std::byte{'4'});
    EXPECT_TRUE(elf->bytes_at(Gva(0xffffffff80100010)).empty()) << "zero-filled memory is not in the file";
    EXPECT_TRUE(elf->bytes_at(Gva(0x100004)).empty()) << "a physical address is no place where code runs";
}

}  // namespace
}  // namespace stackrig::x86
