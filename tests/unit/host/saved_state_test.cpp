// Saved machine states as files: what is written is found whole or refused with a reason, and nothing else stays behind.
#include "vmm/host/saved_state.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/host/process.hpp"

namespace stackrig::host {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t ram_bytes = 1 << 20;
constexpr std::uint64_t written_at = 5 * 4096 + 17;  // the one page that is not all zeros

class SavedStateTest : public testing::Test {
  protected:
    SavedStateTest() {
        std::string pattern = (fs::temp_directory_path() / "stackrig-state-XXXXXX").string();
        root_ = ::mkdtemp(pattern.data());
    }
    ~SavedStateTest() override { fs::remove_all(root_); }

    [[nodiscard]] StateFolder folder(const std::string& depends_on = "this machine", const std::string& flavour = "npt0") const {
        return {(root_ / "states").string(), flavour, depends_on, ram_bytes};
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
        const auto state = states.load();
        return !state ? state.error().text : *state ? "(loaded)" : "(none)";
    }
    static void overwrite(const StateFolder& states, std::uint64_t at, char byte) {
        std::fstream file(states.path(), std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(at));
        file.put(byte);
    }
    [[nodiscard]] std::set<std::string> names() const {
        std::set<std::string> names;
        for (const auto& entry : fs::directory_iterator(root_ / "states")) {
            names.insert(entry.path().filename().string());
        }
        return names;
    }

    fs::path root_;
};

TEST_F(SavedStateTest, WhatWasSavedIsLoaded) {
    EXPECT_EQ(refusal(folder()), "(none)");
    must_save(folder());
    const auto state = folder().load();
    ASSERT_TRUE(state && *state) << (state ? "none" : state.error().text);
    char bytes[7] = {};
    EXPECT_EQ(::pread((*state)->ram.get(), bytes, 3, written_at), 3);
    EXPECT_EQ(std::string(bytes, 3), "ram");
    EXPECT_EQ(::read((*state)->devices.get(), bytes, 7), 7);
    EXPECT_EQ(std::string(bytes, 7), "devices");
    EXPECT_EQ((*state)->facts.kernel, "6.1");
    EXPECT_EQ((*state)->facts.files, (HeldFiles{{"/job/a", "1 2 3"}}));
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

TEST_F(SavedStateTest, ACutOffFileIsRefusedAtEveryLength) {
    for (const std::uint64_t less : {std::uint64_t{1}, std::uint64_t{30}, ram_bytes / 2, ram_bytes + 1}) {
        must_save(folder());
        fs::resize_file(folder().path(), fs::file_size(folder().path()) - less);
        EXPECT_NE(refusal(folder()), "(loaded)") << less;
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
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit small{ram_bytes + 20, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto saved = save(folder());
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_FALSE(saved);
    EXPECT_NE(saved.error().text.find("EFBIG"), std::string::npos) << saved.error().text;
    EXPECT_EQ(names(), std::set<std::string>{"lock"});
}

TEST_F(SavedStateTest, OnlyOneSavesAtATime) {
    auto lock = folder().lock(in(std::chrono::seconds(10)));
    ASSERT_TRUE(lock);
    const auto second = folder().lock(in(std::chrono::milliseconds(0)));
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().text.find("somebody else"), std::string::npos) << second.error().text;
    *lock = OwnedFd();
    EXPECT_TRUE(folder().lock(in(std::chrono::milliseconds(0))));
}

TEST_F(SavedStateTest, AFolderThatCannotBeMadeIsNamed) {
    const StateFolder states("/proc/nowhere", "npt0", "x", ram_bytes);
    const auto lock = states.lock(in(std::chrono::milliseconds(0)));
    ASSERT_FALSE(lock);
    EXPECT_NE(lock.error().text.find("/proc/nowhere/lock"), std::string::npos) << lock.error().text;
}

TEST_F(SavedStateTest, AFilesIdentityChangesWithItsContent) {
    const std::string path = (root_ / "file").string();
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
