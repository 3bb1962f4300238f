// Saved machine states as files: what is written is found whole or refused with a reason, and nothing else stays behind.
#include "vmm/host/saved_state.hpp"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/host/fakes.hpp"
#include "vmm/host/process.hpp"

namespace stackrig::host {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t ram_bytes = 1 << 20;
constexpr std::uint64_t written_at = 5 * 4096 + 17;  // the one page that is not all zeros

class SavedStateTest : public FolderTest {
  protected:
    [[nodiscard]] StateFolder folder(const std::string& depends_on = "this machine", const std::string& flavour = "npt0") const {
        return {(folder_ / "states").string(), flavour, depends_on, ram_bytes};
    }
    static OwnedFd some_ram() {
        OwnedFd ram(::memfd_create("ram", MFD_CLOEXEC));
        EXPECT_EQ(::ftruncate(ram.get(), ram_bytes), 0);
        EXPECT_EQ(::pwrite(ram.get(), "ram", 3, written_at), 3);
        return ram;
    }
    static Result<void> save(const StateFolder& states) {
        const auto lock = states.lock(in(std::chrono::seconds(10)));
        EXPECT_TRUE(lock) << (lock ? "" : lock.error().text);
        STACKRIG_TRY_ASSIGN(const OwnedFd file, states.create());
        EXPECT_EQ(::write(file.get(), "devices", 7), 7);
        return states.commit(file.get(), some_ram().get(), {.kernel = "6.1", .files = {{"/job/a", "1 2 3"}}});
    }
    static void must_save(const StateFolder& states) {
        const auto saved = save(states);
        ASSERT_TRUE(saved) << saved.error().text;
    }
    static std::string refusal(const StateFolder& states) {
        const auto state = states.find();
        if (!state || !*state) {
            return state ? "(none)" : state.error().text;
        }
        const auto facts = states.check(**state);
        return facts ? "(whole)" : facts.error().text;
    }
    static void overwrite(const StateFolder& states, std::uint64_t at, char byte) {
        std::fstream file(states.path(), std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(at));
        file.put(byte);
    }
    [[nodiscard]] std::set<std::string> names() const {
        std::set<std::string> names;
        for (const auto& entry : fs::directory_iterator(folder_ / "states")) {
            names.insert(entry.path().filename().string());
        }
        return names;
    }
};

TEST_F(SavedStateTest, WhatWasSavedIsFound) {
    EXPECT_EQ(refusal(folder()), "(none)");
    must_save(folder());
    const auto state = folder().find();
    ASSERT_TRUE(state && *state) << (state ? "none" : state.error().text);
    const auto facts = folder().check(**state);
    ASSERT_TRUE(facts) << facts.error().text;
    char bytes[7] = {};
    EXPECT_EQ(::pread((*state)->ram.get(), bytes, 3, written_at), 3);
    EXPECT_EQ(std::string(bytes, 3), "ram");
    EXPECT_EQ(::read((*state)->devices.get(), bytes, 7), 7);
    EXPECT_EQ(std::string(bytes, 7), "devices");
    EXPECT_EQ(facts->kernel, "6.1");
    EXPECT_EQ(facts->files, (HeldFiles{{"/job/a", "1 2 3"}}));
}

TEST_F(SavedStateTest, AnotherMachinesStateIsNotFound) {
    must_save(folder("this machine"));
    EXPECT_EQ(refusal(folder("that machine")), "(none)");
}

TEST_F(SavedStateTest, SavingRemovesStaleStatesOfTheSameFlavourOnly) {
    must_save(folder("old", "npt0"));
    must_save(folder("old", "npt1"));
    must_save(folder("new", "npt0"));
    EXPECT_EQ(names(), (std::set<std::string>{"lock", fs::path(folder("new", "npt0").path()).filename(), fs::path(folder("old", "npt1").path()).filename()}));
}

TEST_F(SavedStateTest, DamageIsSeenWhereverItIs) {
    must_save(folder());
    const std::uint64_t size = fs::file_size(folder().path());
    for (const std::uint64_t at : {written_at, std::uint64_t{0}, ram_bytes - 1, ram_bytes + 3, ram_bytes + 9, size - 1}) {
        must_save(folder());
        overwrite(folder(), at, '?');
        EXPECT_EQ(refusal(folder()), "its checksum is wrong") << at;
    }
}

TEST_F(SavedStateTest, AFileThatIsNoSavedStateIsTold) {
    must_save(folder());
    const std::uint64_t footer = fs::file_size(folder().path()) - 24;
    overwrite(folder(), footer, '?');
    EXPECT_EQ(refusal(folder()), "it does not end as a saved state does") << "the magic number";
    must_save(folder());
    overwrite(folder(), footer + 8, static_cast<char>(ram_bytes + 8));
    EXPECT_EQ(refusal(folder()), "it holds no facts") << "they do not begin where they are said to";
}

TEST_F(SavedStateTest, ACutOffFileIsRefusedAtEveryLength) {
    for (const std::uint64_t less : {std::uint64_t{1}, std::uint64_t{30}, ram_bytes / 2, ram_bytes + 1}) {
        must_save(folder());
        fs::resize_file(folder().path(), fs::file_size(folder().path()) - less);
        EXPECT_NE(refusal(folder()), "(whole)") << less;
        EXPECT_NE(refusal(folder()), "(none)") << less;
    }
}

TEST_F(SavedStateTest, AFileWithoutNameLeavesNothing) {
    const auto lock = folder().lock(in(std::chrono::seconds(10)));
    ASSERT_TRUE(lock);
    { const auto file = folder().create(); ASSERT_TRUE(file) << file.error().text; }
    EXPECT_EQ(names(), std::set<std::string>{"lock"});
}

TEST_F(SavedStateTest, NoSpaceIsAnErrorAndLeavesNothing) {
    const auto saved = [this] {
        const SmallFiles small(ram_bytes + 20);
        return save(folder());
    }();
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().text, "pwrite: EFBIG (File too large) of the virtual host's saved state");
    EXPECT_EQ(names(), std::set<std::string>{"lock"});
}

TEST_F(SavedStateTest, OnlyOneSavesAtATime) {
    auto lock = folder().lock(in(std::chrono::seconds(10)));
    ASSERT_TRUE(lock);
    const auto second = folder().lock(in(std::chrono::milliseconds(0)));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().text, "flock: EAGAIN (Resource temporarily unavailable) of " + (folder_ / "states").string() +
                                       "/lock: somebody else has been saving for long");
    *lock = OwnedFd();
    EXPECT_TRUE(folder().lock(in(std::chrono::milliseconds(0))));
}

TEST_F(SavedStateTest, AFolderThatCannotBeMadeIsNamed) {
    const StateFolder states("/proc/nowhere", "npt0", "x", ram_bytes);
    const auto lock = states.lock(in(std::chrono::milliseconds(0)));
    ASSERT_FALSE(lock);
    EXPECT_NE(lock.error().text.find("/proc/nowhere/lock"), std::string::npos) << lock.error().text;
}

TEST_F(SavedStateTest, AFolderThatTakesNoUnnamedFileIsNamed) {
    const auto file = StateFolder("/nowhere", "npt0", "x", ram_bytes).create();
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().text, "open: ENOENT (No such file or directory) of an unnamed file (O_TMPFILE) in /nowhere");
}

TEST_F(SavedStateTest, RamThatIsNoFileIsAnError) {
    const auto lock = folder().lock(in(std::chrono::seconds(10)));
    const auto file = folder().create();
    ASSERT_TRUE(file);
    const OwnedFd no_ram(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const auto saved = folder().commit(file->get(), no_ram.get(), {});
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().text, "lseek: ENODEV (No such device) of the virtual host's RAM");
}

TEST_F(SavedStateTest, AFilesIdentityChangesWithItsContent) {
    const std::string path = (folder_ / "file").string();
    EXPECT_FALSE(identity_of(path));
    std::ofstream(path) << "one";
    const auto first = identity_of(path);
    ASSERT_TRUE(first);
    EXPECT_EQ(*identity_of(path), *first);
    std::ofstream(path) << "three";
    EXPECT_NE(*identity_of(path), *first);
}

}  // namespace
}  // namespace stackrig::host
