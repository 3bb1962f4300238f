// QEMU's command line.
#include "vmm/host/qemu.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sstream>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/host/saved_state.hpp"

namespace stackrig::host {
namespace {

constexpr int port_fd = 10;  // as QEMU sees them
constexpr int log_fd = 11;
constexpr int initrd_fd = 12;
constexpr int ram_fd = 13;
constexpr int monitor_fd = 15;

// What makes the boot quick: no self-tests, no certificates, no probing of devices that are not there.
constexpr std::string_view kernel_command_line =
    "quiet loglevel=4 console=ttyS0 panic=-1 cryptomgr.notests mitigations=off "
    "initcall_blacklist=load_system_certificate_list,init_kprobe_trace,cubictcp_register i8042.noaux i8042.nokbd no_timer_check "
    "tsc=reliable rcupdate.rcu_expedited=1 pci=noacpi";

/// The machine itself, the same for booting and for loading.
std::vector<std::string> machine(const VirtualHostOptions& options) {
    return {"-accel", "tcg", "-cpu", "EPYC,+svm,+npt", "-m", std::to_string(options.memory_mib), "-machine", "pc,memory-backend=ram", "-nodefaults",
            "-no-user-config", "-display", "none", "-no-reboot", "-kernel", options.folder + "/vmlinux",
            "-initrd", fmt::format("/dev/fd/{}", initrd_fd), "-append",
            fmt::format("{} stackrig.npt={}", kernel_command_line, options.nested_paging ? 1 : 0),
            "-chardev", fmt::format("file,id=log,path=/dev/fd/{}", log_fd), "-serial", "chardev:log",
            "-chardev", fmt::format("socket,id=port,fd={}", port_fd),
            "-chardev", fmt::format("socket,id=monitor,fd={}", monitor_fd), "-mon", "chardev=monitor,mode=control",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4"};
}

std::vector<std::string> command(const VirtualHostOptions& options, bool load) {
    std::vector<std::string> words = machine(options);
    words.insert(words.begin(), options.qemu);
    words.insert(words.end(), {"-object", fmt::format("memory-backend-file,id=ram,size={}M,mem-path=/dev/fd/{},share={}", options.memory_mib, ram_fd,
                                                      load ? "off" : "on")});
    if (load) {
        words.insert(words.end(), {"-incoming", "defer"});
    }
    return words;
}

struct SocketPair {
    OwnedFd ours, theirs;
};

Result<SocketPair> make_sockets() {
    int sockets[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        return fail_errno(ErrorKind::host, "socketpair");
    }
    return SocketPair{OwnedFd(sockets[0]), OwnedFd(sockets[1])};
}

/// As execvp() finds it; the name itself when it does not.
std::string program_path(const std::string& name) {
    const char* const path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "");
    for (std::string folder; name.find('/') == std::string::npos && std::getline(folders, folder, ':');) {
        if (::access((folder + "/" + name).c_str(), X_OK) == 0) {
            return folder + "/" + name;
        }
    }
    return name;
}

}  // namespace

Result<OwnedFd> memory_file(const char* name) {
    const int fd = ::memfd_create(name, MFD_CLOEXEC);
    if (fd < 0) {
        return fail_errno(ErrorKind::host, "memfd_create");
    }
    return OwnedFd(fd);
}

Result<Machine> launch(const VirtualHostOptions& options, const MachineFiles& files) {
    STACKRIG_TRY_ASSIGN(SocketPair port, make_sockets());
    STACKRIG_TRY_ASSIGN(SocketPair monitor, make_sockets());
    STACKRIG_TRY_ASSIGN(OwnedFd log, memory_file("kernel-log"));
    STACKRIG_TRY_ASSIGN(OwnedFd words, memory_file("qemu-words"));
    const OwnedFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const bool load = files.devices >= 0;
    SpawnFds fds{.standard = {nothing.get(), words.get(), words.get()},
                 .pass = {{port.theirs.get(), port_fd}, {monitor.theirs.get(), monitor_fd}, {log.get(), log_fd}, {files.initrd, initrd_fd}, {files.ram, ram_fd}}};
    if (load) {
        fds.pass.emplace_back(files.devices, devices_number);
    }
    const auto pid = spawn(command(options, load), fds);
    if (!pid) {
        return fail(ErrorKind::host, fmt::format("{}. Install it: apt-get install qemu-system-x86", pid.error().text));
    }
    return Machine{std::make_unique<Channel>(*pid, std::move(port.ours), std::move(log), std::move(words), options.send_patience), Qmp(std::move(monitor.ours))};
}

Result<std::string> machine_identity(const VirtualHostOptions& options, std::string_view initramfs) {
    STACKRIG_TRY_ASSIGN(const std::string qemu, identity_of(program_path(options.qemu)));
    STACKRIG_TRY_ASSIGN(const std::string kernel, identity_of(options.folder + "/vmlinux"));
    return fmt::format("{}\n{}\n{}\n{}", qemu, kernel, fmt::join(machine(options), "\n"), initramfs);
}

}  // namespace stackrig::host
