// The initial RAM filesystem of the virtual host: agent and modules, as a newc cpio archive.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"

namespace stackrig::host {

/// Writes the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst).
class CpioWriter {
  public:
    void add_folder(std::string_view path) { add(path, 0040755, {}); }
    void add_file(std::string_view path, std::string_view bytes) { add(path, 0100755, bytes); }
    /// Character device, so that init has a console before it can mount anything.
    void add_device(std::string_view path, unsigned major, unsigned minor);
    /// The whole archive, closed.
    [[nodiscard]] std::string finish();

  private:
    void add(std::string_view path, unsigned mode, std::string_view bytes, unsigned major = 0, unsigned minor = 0);
    std::string archive_;
    unsigned inode_ = 1;
};

/// A file's content and where it shall lie, without the leading '/'.
struct InitramfsFile {
    std::string there;
    std::string bytes;
};
/// /init, /modules/order and the modules in it, and `more`. Errors (host) name the file that is missing and how to get it.
[[nodiscard]] Result<std::string> build_initramfs(const std::string& agent, const std::string& kernel_folder,
                                                  const std::vector<InitramfsFile>& more = {});

/// Reads a whole file. Error (host) with errno and `hint`.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::string_view hint);

}  // namespace stackrig::host
