// The virtual KVM host itself: boots it, runs programs in it, breaks it.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

#include "vmm/host/virtual_host.hpp"

namespace stackrig::host {
namespace {

namespace fs = std::filesystem;

VirtualHostOptions options() {
    const char* build = std::getenv("STACKRIG_BUILD_DIR");
    const std::string folder = build != nullptr ? build : ".";
    return {.folder = folder + "/host", .agent = folder + "/vmm/host/agent"};
}

class VirtualHostTest : public testing::Test {
  protected:
    void SetUp() override {
        if (!std::filesystem::exists(options().folder + "/vmlinux")) {
            GTEST_SKIP() << "virtual.kernel: no kernel was fetched";
        }
    }
    static std::unique_ptr<VirtualHost> boot() {
        auto host = VirtualHost::start(options());
        EXPECT_TRUE(host) << (host ? "" : host.error().text);
        return host ? std::move(*host) : nullptr;
    }
    /// Options with saved states in a folder of this test's own; what is said is kept.
    VirtualHostOptions with_states() {
        VirtualHostOptions all = options();
        all.states = folder_.string();
        all.say = [this](const std::string& text) { said_ += text + "\n"; };
        return all;
    }
    std::unique_ptr<VirtualHost> start(const VirtualHostOptions& with) {
        said_.clear();
        auto host = VirtualHost::start(with);
        EXPECT_TRUE(host) << (host ? "" : host.error().text);
        return host ? std::move(*host) : nullptr;
    }
    /// The one state in the folder; empty when there is none.
    [[nodiscard]] fs::path state() const {
        for (const auto& entry : fs::directory_iterator(folder_)) {
            if (entry.path().filename() != "lock") {
                return entry.path();
            }
        }
        return {};
    }
    VirtualHostTest() {
        std::string pattern = (fs::temp_directory_path() / "stackrig-states-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~VirtualHostTest() override { fs::remove_all(folder_); }

    fs::path folder_;
    std::string said_;

    struct Outcome {
        std::string out, err, end;
    };
    static Outcome shell(VirtualHost& host, const std::string& script) {
        auto process = host.run("/bin/sh", {"-c", script}, {});
        if (!process) {
            return {"", "", process.error().text};
        }
        Outcome all;
        for (;;) {
            auto event = (*process)->next(in(std::chrono::seconds(30)));
            if (!event || !*event) {
                all.end = event ? "deadline" : event.error().text;
                return all;
            }
            if (const auto* output = std::get_if<Process::Output>(&**event)) {
                (output->standard_error ? all.err : all.out) += output->bytes;
            } else {
                all.end = describe(std::get<Process::Ended>(**event));
                return all;
            }
        }
    }
};

TEST_F(VirtualHostTest, RunsProgramsAndKeepsTheirStreamsApart) {
    const auto host = boot();
    ASSERT_NE(host, nullptr);
    const Outcome first = shell(*host, "printf 'a\\000b'; echo trouble >&2; exit 7");
    EXPECT_EQ(first.out, std::string("a\0b", 3));
    EXPECT_EQ(first.err, "trouble\n");
    EXPECT_EQ(first.end, "exit status 7");
    EXPECT_EQ(shell(*host, "kill -SEGV $$").end, "killed by SIGSEGV") << "a second program, after the first";
    EXPECT_EQ(shell(*host, "[ -c /dev/kvm ] && echo yes").out, "yes\n");
}

TEST_F(VirtualHostTest, SaysThatQemuWasKilled) {
    const auto host = boot();
    ASSERT_NE(host, nullptr);
    auto process = host->run("/bin/sh", {"-c", "while :; do :; done"}, {});
    ASSERT_TRUE(process) << process.error().text;
    ASSERT_EQ(::kill(host->pid(), SIGKILL), 0);
    const auto event = (*process)->next(in(std::chrono::seconds(30)));
    ASSERT_FALSE(event);
    EXPECT_EQ(event.error().kind, ErrorKind::host);
    EXPECT_NE(event.error().text.find("killed by signal 9"), std::string::npos) << event.error().text;
}

TEST_F(VirtualHostTest, SaysThatQemuHangs) {
    VirtualHostOptions hasty = options();
    hasty.send_patience = std::chrono::milliseconds(50);
    const auto host = VirtualHost::start(hasty);
    ASSERT_TRUE(host) << host.error().text;
    ASSERT_EQ(::kill((*host)->pid(), SIGSTOP), 0);
    const auto process = (*host)->run("/bin/sh", {"-c", ":"}, {{options().folder + "/vmlinux", "/job/large"}});
    ASSERT_FALSE(process);
    EXPECT_NE(process.error().text.find("has not taken what was sent for 50 ms"), std::string::npos) << process.error().text;
}

TEST_F(VirtualHostTest, SaysThatTheKernelDied) {
    const auto host = boot();
    ASSERT_NE(host, nullptr);
    auto process = host->run("/bin/sh", {"-c", "echo c >/proc/sysrq-trigger"}, {});
    ASSERT_TRUE(process) << process.error().text;
    const auto event = (*process)->next(in(std::chrono::seconds(30)));
    ASSERT_FALSE(event);
    EXPECT_NE(event.error().text.find("QEMU exited with status 0"), std::string::npos) << event.error().text;
    EXPECT_NE(event.error().text.find("Kernel panic - not syncing: sysrq triggered crash"), std::string::npos) << event.error().text;
}

TEST_F(VirtualHostTest, KillsAProgramThatDoesNotEnd) {
    const auto host = boot();
    ASSERT_NE(host, nullptr);
    auto process = host->run("/bin/sh", {"-c", "echo started; while :; do :; done"}, {});
    ASSERT_TRUE(process) << process.error().text;
    auto output = (*process)->next(in(std::chrono::seconds(30)));
    ASSERT_TRUE(output && *output);
    (*process)->kill();
    const auto ended = (*process)->next(in(std::chrono::seconds(30)));
    ASSERT_TRUE(ended && *ended) << (ended ? "deadline" : ended.error().text);
    EXPECT_EQ(describe(std::get<Process::Ended>(**ended)), "killed by SIGKILL");
}

TEST_F(VirtualHostTest, NamesWhatIsMissing) {
    VirtualHostOptions no_kernel = options();
    no_kernel.folder = "/nowhere";
    const auto first = VirtualHost::start(no_kernel);
    ASSERT_FALSE(first);
    EXPECT_NE(first.error().text.find("fetch-kernel.sh"), std::string::npos) << first.error().text;
    VirtualHostOptions no_qemu = options();
    no_qemu.qemu = "/nowhere/qemu";
    const auto second = VirtualHost::start(no_qemu);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().text.find("apt-get install qemu-system-x86"), std::string::npos) << second.error().text;
}

TEST_F(VirtualHostTest, SaysThatABootStalled) {
    VirtualHostOptions hasty = options();
    hasty.boot_patience = std::chrono::milliseconds(50);
    const auto host = VirtualHost::start(hasty);
    ASSERT_FALSE(host);
    EXPECT_NE(host.error().text.find("did not boot within 50 ms"), std::string::npos) << host.error().text;
}

TEST_F(VirtualHostTest, TheSecondStartIsFromTheSavedState) {
    const std::string text = (folder_ / "../stackrig-file.txt").string();
    std::ofstream(text) << "before\n";
    VirtualHostOptions warm = with_states();
    warm.warm_up = [&](VirtualHost& host) -> Result<void> {
        EXPECT_TRUE(host.run("/bin/sh", {"-c", "echo warm >/tmp/warm"}, {{text, "/job/text"}}).and_then([](auto process) {
            return process->next(in(std::chrono::seconds(30)));
        }));
        return {};
    };
    const auto first = start(warm);
    ASSERT_NE(first, nullptr);
    EXPECT_FALSE(first->was_loaded());
    EXPECT_EQ(shell(*first, "read -r x </tmp/warm; echo $x; echo 1 >/tmp/mine").out, "warm\n") << "it goes on after it was saved";
    std::ofstream(text) << "changed\n";
    for (int i = 0; i < 2; ++i) {  // at the same time as the first, and as each other
        const auto again = start(warm);
        ASSERT_NE(again, nullptr);
        EXPECT_TRUE(again->was_loaded());
        EXPECT_EQ(again->kernel(), first->kernel());
        EXPECT_EQ(shell(*again, "read -r x </tmp/warm; read -r y </job/text; echo $x /tmp/* $y; [ -c /dev/kvm ] && echo kvm").out, "warm /tmp/warm before\nkvm\n");
        auto process = again->run("/bin/sh", {"-c", "read -r x </job/text; echo $x"}, {{text, "/job/text"}});
        ASSERT_TRUE(process);
        const auto output = (*process)->next(in(std::chrono::seconds(30)));
        ASSERT_TRUE(output && *output);
        EXPECT_EQ(std::get<Process::Output>(**output).bytes, "changed\n") << "a file that has changed is put anew";
    }
    EXPECT_EQ(said_, "");
    fs::remove(text);
}

TEST_F(VirtualHostTest, BootsWhenTheStateIsDamagedAndSavesItAnew) {
    ASSERT_NE(start(with_states()), nullptr);
    fs::resize_file(state(), 1'000'000);
    const auto host = start(with_states());
    ASSERT_NE(host, nullptr);
    EXPECT_FALSE(host->was_loaded());
    EXPECT_EQ(said_, "the saved state " + state().string() + " is not used, the virtual host is booted instead: it is cut off at 1000000 bytes\n");
    EXPECT_TRUE(start(with_states())->was_loaded());
}

TEST_F(VirtualHostTest, BootsWhenQemuRefusesTheStateOrTheMachineDoesNotAnswer) {
    ASSERT_NE(start(with_states()), nullptr);
    const fs::path good = state();
    for (const bool silent : {false, true}) {
        // Whole as a file, but the devices are none; or there is no time to wait for the answer.
        if (!silent) {
            const OwnedFd ram(::memfd_create("ram", MFD_CLOEXEC));
            ASSERT_EQ(::ftruncate(ram.get(), 512 << 20), 0);
            const std::string name = good.filename().string();
            const StateFolder states(folder_.string(), name.substr(0, 4), "", 512 << 20);
            const auto file = states.create();
            ASSERT_TRUE(file);
            ASSERT_EQ(::write(file->get(), "no devices", 10), 10);
            ASSERT_TRUE(states.commit(file->get(), ram.get(), {}));
            fs::rename(states.path(), good);
        }
        VirtualHostOptions with = with_states();
        with.load_patience = silent ? std::chrono::milliseconds(1) : with.load_patience;
        const auto host = start(with);
        ASSERT_NE(host, nullptr);
        EXPECT_FALSE(host->was_loaded());
        EXPECT_NE(said_.find("is not used, the virtual host is booted instead"), std::string::npos) << said_;
        EXPECT_NE(said_.find(silent ? "does not answer" : "Not a migration stream"), std::string::npos) << said_;
    }
}

TEST_F(VirtualHostTest, ManyFirstUsesAtOnceSaveOnceAndAllRun) {
    std::vector<std::jthread> all;
    std::array<bool, 3> loaded{};
    for (bool& one : loaded) {
        all.emplace_back([&one, with = options(), folder = folder_.string()]() mutable {
            with.states = folder;
            const auto host = VirtualHost::start(with);
            ASSERT_TRUE(host) << host.error().text;
            one = (*host)->was_loaded();
            EXPECT_EQ(shell(**host, "echo here").out, "here\n");
        });
    }
    all.clear();  // joins
    EXPECT_EQ(std::count(loaded.begin(), loaded.end(), false), 1);
}

TEST_F(VirtualHostTest, RunsWithoutASavedStateWhereNoneCanBe) {
    VirtualHostOptions nowhere = with_states();
    nowhere.states = "/proc/nowhere";
    const auto host = start(nowhere);
    ASSERT_NE(host, nullptr);
    EXPECT_EQ(said_.find("the virtual host's state is not saved: "), 0U) << said_;
    EXPECT_EQ(shell(*host, "echo here").out, "here\n");
}

}  // namespace
}  // namespace stackrig::host
