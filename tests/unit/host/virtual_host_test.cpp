// The virtual KVM host itself: boots it, runs programs in it, breaks it.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>

#include "vmm/host/virtual_host.hpp"

namespace stackrig::host {
namespace {

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

}  // namespace
}  // namespace stackrig::host
