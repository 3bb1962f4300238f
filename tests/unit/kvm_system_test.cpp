// Opening /dev/kvm when it is not usable, the capability table, and the watchdog without a KVM.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "vmm/kvm/capability.hpp"
#include "vmm/kvm/system.hpp"
#include "vmm/kvm/uapi.hpp"  // the tripwire: its static_asserts must hold in a program of the tests, too
#include "vmm/kvm/watchdog.hpp"

namespace stackrig::kvm {
namespace {

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST(Open, AbsentSaysHowToGetKvm) {
    const auto system = System::open("/nonexistent/kvm");
    ASSERT_FALSE(system);
    EXPECT_EQ(system.error().kind, ErrorKind::host);
    EXPECT_TRUE(contains(system.error().text, "open /nonexistent/kvm: ENOENT")) << system.error().text;
    EXPECT_TRUE(contains(system.error().text, "modprobe kvm_amd")) << system.error().text;
}

TEST(Open, ForbiddenSaysGroupAndUdevRule) {
    const Error error = open_failure("/dev/kvm", EACCES);
    EXPECT_EQ(error.kind, ErrorKind::host);
    EXPECT_TRUE(contains(error.text, "EACCES")) << error.text;
    EXPECT_TRUE(contains(error.text, "usermod -aG kvm")) << error.text;
    EXPECT_TRUE(contains(error.text, "KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0666\"")) << error.text;
    EXPECT_FALSE(contains(error.text, "modprobe")) << "advice for the other cause: " << error.text;
}

TEST(Open, AFileThatIsNoKvmIsNotTakenForOne) {
    const auto system = System::open("/dev/null");
    ASSERT_FALSE(system);
    EXPECT_EQ(system.error().kind, ErrorKind::host);
    EXPECT_TRUE(contains(system.error().text, "/dev/null is not a KVM device: KVM_GET_API_VERSION: ENOTTY"))
        << system.error().text;
}

TEST(Open, AnotherApiVersionIsRefusedWithBothNumbers) {
    EXPECT_TRUE(check_api_version(12));
    const auto refused = check_api_version(11);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(contains(refused.error().text, "11 instead of 12")) << refused.error().text;
}

TEST(Capabilities, EachHasOneNameAndIsFoundByIt) {
    std::set<std::string_view> names;
    for (const Capability capability : all_capabilities()) {
        EXPECT_TRUE(names.insert(name(capability)).second) << name(capability);
        EXPECT_EQ(capability_by_name(name(capability)), capability);
    }
    EXPECT_EQ(capability_by_name("READONLY_MEM"), Capability::readonly_mem);
    EXPECT_EQ(capability_by_name("KVM_CAP_NONSENSE"), std::nullopt);
    EXPECT_EQ(capability_by_name(""), std::nullopt);
}

// pause() stands in for KVM_RUN: both sleep until a signal, and both would sleep for ever on a lost kick.
TEST(Watchdog, KicksTheThreadWhoseBudgetIsUsedUpAndNoOther) {
    Watchdog watchdog;
    std::uint8_t exit_flag = 0;
    std::uint8_t idle_flag = 0;
    Watchdog::Seat seat(exit_flag);
    Watchdog::Seat idle(idle_flag);
    watchdog.add(seat);
    watchdog.add(idle);
    watchdog.enter(idle, std::chrono::milliseconds(1));
    watchdog.leave(idle);

    watchdog.enter(seat, std::chrono::milliseconds(20));
    EXPECT_FALSE(watchdog.expired(seat));
    EXPECT_EQ(::pause(), -1);
    EXPECT_EQ(errno, EINTR);
    EXPECT_TRUE(watchdog.expired(seat));

    watchdog.leave(seat);
    watchdog.remove(seat);
    watchdog.remove(idle);
    EXPECT_EQ(exit_flag, 1) << "set before the signal, for a thread not yet inside KVM_RUN";
    EXPECT_EQ(idle_flag, 0) << "a vCPU that has left is not kicked";
}

}  // namespace
}  // namespace stackrig::kvm
