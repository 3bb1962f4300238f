// QEMU's monitor: what it says to each command is written down before it is asked.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/host/qmp.hpp"

namespace stackrig::host {
namespace {

class MonitorTest : public testing::Test {
  protected:
    MonitorTest() {
        int sockets[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
        qemu_ = OwnedFd(sockets[0]);
        qmp_ = std::make_unique<Qmp>(OwnedFd(sockets[1]));
    }
    void says(const std::string& lines) const { EXPECT_EQ(::write(qemu_.get(), lines.data(), lines.size()), static_cast<ssize_t>(lines.size())); }
    static std::string error_of(const Result<void>& result) { return result ? "(no error)" : result.error().text; }
    static Deadline soon() { return in(std::chrono::seconds(20)); }

    OwnedFd qemu_;
    std::unique_ptr<Qmp> qmp_;
};

TEST_F(MonitorTest, WhatIsNoQmpIsShown) {
    says("QEMU 7.2.0 monitor - type 'help' for more information\n");
    EXPECT_EQ(error_of(qmp_->begin(soon())), "QEMU's monitor does not speak QMP, but says: QEMU 7.2.0 monitor - type 'help' for more information");
}

TEST_F(MonitorTest, SilenceIsSaid) { EXPECT_EQ(error_of(qmp_->begin(in(std::chrono::milliseconds(0)))), "QEMU's monitor does not answer"); }

TEST_F(MonitorTest, AClosedMonitorIsSaid) {
    qemu_ = OwnedFd();
    EXPECT_EQ(error_of(qmp_->begin(soon())), "QEMU closed its monitor");
    EXPECT_EQ(error_of(qmp_->go_on(soon())), "sendmsg: EPIPE (Broken pipe) to QEMU's monitor");
}

TEST_F(MonitorTest, ARefusalIsPassedOnWithItsCommand) {
    says("{\"QMP\": {}}\n{\"event\": \"RESUME\"}\n{\"return\": {}}\n{\"error\": {\"desc\": \"no such capability\"}}\n");
    EXPECT_EQ(error_of(qmp_->begin(soon())), "QEMU refused migrate-set-capabilities: no such capability");
}

TEST_F(MonitorTest, AStateThatCannotBeWrittenIsSaidWithTheReason) {
    says("{\"return\": {}}\n{\"return\": {}}\n{\"return\": {\"status\": \"active\"}}\n"
         "{\"return\": {\"status\": \"failed\", \"error-desc\": \"No space left on device\"}}\n");
    EXPECT_EQ(error_of(qmp_->save_to(qemu_.get(), soon())), "QEMU could not write the machine's state: No space left on device");
}

}  // namespace
}  // namespace stackrig::host
