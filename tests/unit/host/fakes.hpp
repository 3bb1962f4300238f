// What the launcher starts, by scripts that behave in one particular way: a QEMU, and a folder with all it is given.
#pragma once

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>

#include "vmm/host/channel.hpp"
#include "vmm/host/virtual_host.hpp"

namespace stackrig::host {

/// A test with a folder of its own.
class FolderTest : public testing::Test {
  protected:
    FolderTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "stackrig-test-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~FolderTest() override { std::filesystem::remove_all(folder_); }

    std::string put(const std::string& name, const std::string& content) const {
        std::filesystem::create_directories((folder_ / name).parent_path());
        std::ofstream(folder_ / name, std::ios::binary) << content;
        return (folder_ / name).string();
    }
    /// A program: bash, for it alone can write to descriptors of two digits.
    std::string put_script(const std::string& name, const std::string& body) const {
        const std::string path = put(name, "#!/bin/bash\n" + body + "\n");
        ::chmod(path.c_str(), 0755);
        return path;
    }

    std::filesystem::path folder_;
};

/// A test with a QEMU that does what a script says. It finds the port at descriptor 10, the kernel's log at 11, the monitor at 15.
class FakeQemuTest : public FolderTest {
  protected:
    /// Options for a QEMU that sends `bytes` from its port and then does `body`.
    VirtualHostOptions fake(const std::string& bytes, const std::string& body) {
        put("frames", bytes);
        put("vmlinux", "a kernel");
        put("modules/order", "");
        return {.folder = folder_.string(), .agent = put("agent", "an agent"), .boot_patience = std::chrono::seconds(20),
                .qemu = put_script("qemu-system-x86_64", "cat " + (folder_ / "frames").string() + " >&10\n" + body),
                .say = [this](const std::string& text) { said_ += text + "\n"; }};
    }
    static std::string error_of(const VirtualHostOptions& options) {
        const auto host = VirtualHost::start(options);
        return host ? "(started)" : host.error().text;
    }
    static std::string ready() { return encode(wire::Type::ready, "6.1"); }

    std::string said_;
};

/// No file may grow beyond this many bytes while it lives.
class SmallFiles {
  public:
    explicit SmallFiles(std::uint64_t most) {
        std::signal(SIGXFSZ, SIG_IGN);  // EFBIG is to come instead
        EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
        const rlimit small{most, before_.rlim_max};
        EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    }
    ~SmallFiles() { ::setrlimit(RLIMIT_FSIZE, &before_); }
    SmallFiles(const SmallFiles&) = delete;
    SmallFiles& operator=(const SmallFiles&) = delete;

  private:
    rlimit before_{};
};

/// How a fake QEMU goes on. Until the first byte is sent to it, which with a machine that has run nothing is the request to power off:
inline const std::string wait_for_power_off = "exec head -c 1 <&10 >/dev/null";
/// It takes whatever is sent to it.
inline const std::string take_all = "exec cat <&10 >/dev/null";
/// It takes nothing.
inline const std::string hang = "exec sleep 1000";

}  // namespace stackrig::host
