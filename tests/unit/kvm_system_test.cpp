// Opening /dev/kvm when it is not usable, the capability table, and the watchdog without a KVM.
#include <fmt/format.h>
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

TEST(Open, AbsentSaysHowToGetKvm) {
    const auto system = System::open("/nonexistent/kvm");
    ASSERT_FALSE(system);
    EXPECT_EQ(system.error().kind, ErrorKind::host);
    EXPECT_EQ(system.error().text, "open /nonexistent/kvm: ENOENT (No such file or directory). There is no KVM here: switch on "
                                   "virtualisation (VT-x, AMD-V) in the firmware, then `modprobe kvm_intel` or `modprobe kvm_amd`; "
                                   "or use --host virtual, which needs none.");
}

TEST(Open, ForbiddenSaysGroupAndUdevRule) {
    const Error error = open_failure("/dev/kvm", EACCES);
    EXPECT_EQ(error.kind, ErrorKind::host);
    EXPECT_EQ(error.text, "open /dev/kvm: EACCES (Permission denied). KVM is here but not for this user: `sudo usermod -aG kvm $USER` "
                          "and log in again, or (CI) put KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0666\" into "
                          "/etc/udev/rules.d/99-kvm.rules and run `sudo udevadm trigger --name-match=kvm`; or use --host virtual, "
                          "which needs no rights.");
}

TEST(Open, AnyOtherFailureLeavesTheVirtualHost) {
    const Error error = open_failure("/dev/kvm", EMFILE);
    EXPECT_EQ(error.kind, ErrorKind::host);
    EXPECT_EQ(error.text, "open /dev/kvm: EMFILE (Too many open files). Use --host virtual if this cannot be cured.");
}

TEST(Open, AFileThatIsNoKvmIsNotTakenForOne) {
    const auto system = System::open("/dev/null");
    ASSERT_FALSE(system);
    EXPECT_EQ(system.error().kind, ErrorKind::host);
    EXPECT_EQ(system.error().text, "/dev/null is not a KVM device: KVM_GET_API_VERSION: ENOTTY (Inappropriate ioctl for device). "
                                   "Use --host virtual, or repair the node (character device, major 10).");
}

TEST(Open, AnotherApiVersionIsRefusedWithBothNumbers) {
    EXPECT_TRUE(check_api_version(12));
    const auto refused = check_api_version(11);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::host);
    EXPECT_EQ(refused.error().text, "KVM_GET_API_VERSION: 11 instead of 12, the only one there has been since Linux 2.6.22. "
                                    "Use another kernel, or --host virtual.");
}

TEST(Open, ASharedPageThatIsTooSmallIsRefusedWithBothSizes) {
    constexpr int needed = sizeof(::kvm_run);
    EXPECT_TRUE(check_run_size(needed));
    const auto refused = check_run_size(needed - 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::host);
    EXPECT_EQ(refused.error().text,
              fmt::format("KVM_GET_VCPU_MMAP_SIZE: {} bytes, less than struct kvm_run ({}). Use the kernel whose headers this was "
                          "built with or a newer one, or --host virtual.",
                          needed - 1, needed));
}

TEST(Open, EveryMissingCapabilityIsNamed) {
    EXPECT_TRUE(require_capabilities([](Capability) -> Result<std::uint32_t> { return 1; }));
    const auto refused = require_capabilities([](Capability capability) -> Result<std::uint32_t> {
        return capability == Capability::debugregs || capability == Capability::user_nmi ? 0 : 1;
    });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::host);
    EXPECT_EQ(refused.error().text, "This kernel's KVM lacks: KVM_CAP_USER_NMI KVM_CAP_DEBUGREGS. Use a newer kernel (5.10 has them "
                                    "all), or --host virtual.");
}

TEST(CreateVm, AnotherHypervisorIsToBeStoppedAndOfOtherFailuresTheNameIsGiven) {
    EXPECT_EQ(create_vm_failure(EBUSY).text, "KVM_CREATE_VM: EBUSY (Device or resource busy). Another hypervisor holds the CPU's "
                                             "virtualisation: stop it, or use --host virtual.");
    EXPECT_EQ(create_vm_failure(ENOMEM).text, "KVM_CREATE_VM: ENOMEM (Cannot allocate memory)");
    EXPECT_EQ(create_vm_failure(ENOMEM).kind, ErrorKind::host);
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
