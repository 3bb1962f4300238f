// A virtual host that cannot be had, or is lost, word for word: with a QEMU that misbehaves in one way at a time.
#include <gtest/gtest.h>

#include "tests/unit/host/fakes.hpp"
#include "vmm/host/bit_exact.hpp"
#include "vmm/host/initramfs.hpp"
#include "vmm/host/qemu.hpp"

namespace stackrig::host {
namespace {

using FaultsTest = FakeQemuTest;

TEST_F(FaultsTest, WhatIsMissingIsNamedWithTheCommandThatMakesIt) {
    VirtualHostOptions with = fake(ready(), wait_for_power_off);
    const std::string kernel = with.folder;
    with.folder = "/nowhere";
    EXPECT_EQ(error_of(with), "the virtual host has no kernel: /nowhere/vmlinux cannot be read. `vmm/host/fetch-kernel.sh BUILD` fetches it");
    with.folder = kernel;
    with.qemu = "/nowhere/qemu";
    EXPECT_EQ(error_of(with), "execvp: ENOENT (No such file or directory) for /nowhere/qemu. Install it: apt-get install qemu-system-x86");
    std::filesystem::remove_all(folder_ / "modules");
    EXPECT_EQ(error_of(with), "open: ENOENT (No such file or directory) for " + kernel + "/modules/order; `vmm/host/fetch-kernel.sh BUILD` fetches "
                              "the virtual host's kernel");
    with.agent = "/nowhere/agent";
    EXPECT_EQ(error_of(with), "open: ENOENT (No such file or directory) for /nowhere/agent; `ninja -C build` builds the agent");
}

TEST_F(FaultsTest, MemoryThatIsNotThereIsSaidToBeTheVirtualHosts) {
    const VirtualHostOptions with = fake(ready(), wait_for_power_off);
    {
        const SmallFiles none(100);
        EXPECT_EQ(error_of(with), "write: EFBIG (File too large) to the virtual host's initial RAM filesystem");
    }
    const SmallFiles few(1 << 20);
    EXPECT_EQ(error_of(with), "ftruncate: EFBIG (File too large) of the virtual host's RAM");
}

TEST_F(FaultsTest, AQemuThatIsKilledIsToldWithItsSignal) {
    EXPECT_EQ(error_of(fake("", "kill -9 $$")), "the virtual host is gone: QEMU was killed by signal 9. What was finished before is kept; start again.");
}

TEST_F(FaultsTest, AQemuThatEndsIsToldWithItsLastWordsButNotWithWhatItAlwaysSays) {
    EXPECT_EQ(error_of(fake("", R"(
echo "qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID.01H:EDX.vme [bit 1]" >&2
echo 'Could not allocate dynamic translator buffer' >&2
echo 'Kernel panic - not syncing: No working init found' >&11
exit 1)")),
              "the virtual host is gone: QEMU exited with status 1. What was finished before is kept; start again.\n"
              "QEMU said:\n"
              "Could not allocate dynamic translator buffer\n"
              "\nThe virtual host's kernel said:\n"
              "Kernel panic - not syncing: No working init found\n");
}

TEST_F(FaultsTest, ABootThatStallsIsTriedTwice) {
    VirtualHostOptions hasty = fake("", "echo 'Loading initial ramdisk ...' >&11\n" + wait_for_power_off);
    hasty.boot_patience = std::chrono::milliseconds(1);
    EXPECT_EQ(error_of(hasty).find("the virtual host did not boot within 1 ms, 2 times."), 0U);
    EXPECT_EQ(said_, "the virtual host did not boot within 1 ms\nthe virtual host did not boot within 1 ms\n");
}

TEST_F(FaultsTest, AnAgentOfAnotherVersionIsSuspected) {
    EXPECT_EQ(error_of(fake(encode(wire::Type::output, "hello"), wait_for_power_off)),
              "the virtual host's agent did not begin with a ready frame but with one of type 17: is it of another version? `ninja -C build` builds the one that fits");
    EXPECT_EQ(error_of(fake("SeaBIOS (version 1.16.2)", wait_for_power_off)),
              "the virtual host's port holds no frame but 0x42616553 0x72657628: an agent of another version? `ninja -C build` builds the one that fits");
}

/// What the first program's first event is, when the agent sends `frame` behind its ready.
std::string first_event(const VirtualHostOptions& with) {
    const auto host = VirtualHost::start(with);
    if (!host) {
        return host.error().text;
    }
    const auto process = (*host)->run("/bin/true", {}, {});
    if (!process) {
        return process.error().text;
    }
    const auto event = (*process)->next(in(std::chrono::seconds(20)));
    return event ? "(no error)" : event.error().text;
}

TEST_F(FaultsTest, WhatTheAgentCouldNotDoIsPassedOn) {
    EXPECT_EQ(first_event(fake(ready() + encode(wire::Type::failed, "execve /job/true: ENOENT"), take_all)), "the virtual host's agent: execve /job/true: ENOENT");
    EXPECT_EQ(first_event(fake(ready() + ready(), take_all)),
              "the virtual host's agent sent a frame out of turn (type 16): is it of another version? `ninja -C build` builds the one that fits");
}

TEST_F(FaultsTest, AQemuThatTakesNothingHangs) {
    VirtualHostOptions hasty = fake(ready(), hang);
    hasty.send_patience = std::chrono::milliseconds(10);
    const auto host = VirtualHost::start(hasty);
    ASSERT_TRUE(host) << host.error().text;
    const std::string large = put("large", std::string(8 << 20, 'x'));
    const auto process = (*host)->run("/bin/true", {}, {{large, "/job/large"}});
    ASSERT_FALSE(process);
    EXPECT_EQ(process.error().text, "the virtual host has not taken what was sent for 10 ms: QEMU (process " + std::to_string((*host)->pid()) +
                                        ") hangs, or is stopped.");
}

TEST_F(FaultsTest, ALoadedMachineThatStaysSilentIsBootedInstead) {
    // Its monitor has answers to all that loading asks, and so has its agent once the machine is booted.
    VirtualHostOptions with = fake("", R"(
if [[ " $* " == *" -incoming "* ]]; then
    printf '%s\n' '{"QMP": {}}' '{"return": {}}' '{"return": {}}' '{"return": {}}' >&15
else
    cat )" + put("later", ready()) + R"( >&10
fi
)" + hang);
    with.states = (folder_ / "states").string();
    with.load_patience = std::chrono::seconds(3);
    const std::uint64_t ram_bytes = std::uint64_t{with.memory_mib} << 20;
    const StateFolder states(with.states, "npt0", *machine_identity(with, *build_initramfs(with.agent, with.folder)), ram_bytes);
    {
        const auto lock = states.lock(in(std::chrono::seconds(10)));
        const auto file = states.create();
        const OwnedFd ram = std::move(*memory_file("ram"));
        ASSERT_EQ(::ftruncate(ram.get(), static_cast<off_t>(ram_bytes)), 0);
        ASSERT_EQ(::write(file->get(), "devices", 7), 7);
        ASSERT_TRUE(states.commit(file->get(), ram.get(), {.kernel = "6.1", .files = {}}));
    }
    with.warm_up = [](VirtualHost&) -> Result<void> { return fail(ErrorKind::host, "enough of this test"); };
    EXPECT_EQ(error_of(with), "enough of this test");
    EXPECT_EQ(said_, "the saved state " + states.path() + " is not used, the virtual host is booted instead: it did not answer within 3000 ms.\n");
}

class BitExactTest : public FakeQemuTest {
  protected:
    /// The error of a bit-exact request to a QEMU that sends `bytes`; it is found where programs are.
    std::string error_of(const std::string& bytes, const std::string& guest) {
        const VirtualHostOptions with = fake(bytes, wait_for_power_off);
        const std::string path = std::getenv("PATH");
        ::setenv("PATH", (folder_.string() + ":" + path).c_str(), 1);
        const auto answer = ask_bit_exact({.program = "/bin/true", .guest = guest, .lines = "", .steps = "", .agent = with.agent, .kernel = with.folder, .states = ""},
                                          false, {{"do", "run"}}, std::chrono::seconds(bytes.empty() ? 0 : 20));
        ::setenv("PATH", path.c_str(), 1);
        return answer ? "(answered)" : answer.error().text;
    }
};

TEST_F(BitExactTest, SaysWhatWentWrong) {
    const std::string guest = put("guest.elf", "a guest");
    EXPECT_EQ(error_of("", "/nowhere/guest.elf"), "open: ENOENT (No such file or directory) for /nowhere/guest.elf; it is needed in the virtual host");
    EXPECT_EQ(error_of("", guest), "the bit-exact virtual host gave no answer within 0 s.");
    EXPECT_EQ(error_of(ready() + encode(wire::Type::error, "no /dev/kvm here\n") + encode(wire::Type::exited, std::string(4, '\1')), guest),
              "the worker ended before it answered. It said:\nno /dev/kvm here\n");
}

}  // namespace
}  // namespace stackrig::host
