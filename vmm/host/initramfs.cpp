// cpio archive writing.
#include "vmm/host/initramfs.hpp"

#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

namespace stackrig::host {

void CpioWriter::add(std::string_view path, unsigned mode, std::string_view bytes, unsigned major, unsigned minor) {
    archive_ += fmt::format("070701{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}", inode_++, mode, 0, 0, 1,
                            0, bytes.size(), 0, 0, major, minor, path.size() + 1, 0);
    const auto pad = [this] { archive_.append((4 - archive_.size() % 4) % 4, '\0'); };
    archive_ += path;
    archive_ += '\0';
    pad();
    archive_ += bytes;
    pad();
}

void CpioWriter::add_device(std::string_view path, unsigned major, unsigned minor) { add(path, 0020600, {}, major, minor); }

std::string CpioWriter::finish() {
    add("TRAILER!!!", 0, {});
    return std::move(archive_);
}

Result<std::string> read_file(const std::string& path, std::string_view hint) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return fail_errno(ErrorKind::host, "open", errno, fmt::format("for {}; {}", path, hint));
    }
    return std::string{std::istreambuf_iterator<char>(file), {}};
}

Result<std::string> build_initramfs(const std::string& agent, const std::string& kernel_folder, const std::vector<InitramfsFile>& more) {
    constexpr std::string_view fetch = "`vmm/host/fetch-kernel.sh BUILD` fetches the virtual host's kernel";
    CpioWriter cpio;
    cpio.add_folder("dev");
    cpio.add_device("dev/console", 5, 1);
    STACKRIG_TRY_ASSIGN(const std::string init, read_file(agent, "`ninja -C build` builds the agent"));
    cpio.add_file("init", init);
    cpio.add_folder("modules");
    STACKRIG_TRY_ASSIGN(const std::string order, read_file(kernel_folder + "/modules/order", fetch));
    cpio.add_file("modules/order", order);
    std::istringstream names(order);
    for (std::string name; names >> name;) {
        STACKRIG_TRY_ASSIGN(const std::string module, read_file(kernel_folder + "/modules/" + name, fetch));
        cpio.add_file("modules/" + name, module);
    }
    std::set<std::string> folders;
    for (const InitramfsFile& file : more) {
        for (std::size_t at = file.there.find('/'); at != std::string::npos; at = file.there.find('/', at + 1)) {
            if (folders.insert(file.there.substr(0, at)).second) {
                cpio.add_folder(file.there.substr(0, at));
            }
        }
        cpio.add_file(file.there, file.bytes);
    }
    return cpio.finish();
}

}  // namespace stackrig::host
