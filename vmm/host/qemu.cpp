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

/// What every machine has: CPU, memory, kernel, a log, and the two ways out.
std::vector<std::string> board(const VirtualHostOptions& options, std::string_view more_for_kernel) {
    return {"-accel", "tcg", "-cpu", "EPYC,+svm,+npt", "-m", std::to_string(options.memory_mib), "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-kernel", options.folder + "/vmlinux",
            "-initrd", fmt::format("/dev/fd/{}", initrd_fd), "-append",
            fmt::format("{} stackrig.npt={}{}", kernel_command_line, options.nested_paging ? 1 : 0, more_for_kernel),
            "-chardev", fmt::format("file,id=log,path=/dev/fd/{}", log_fd), "-serial", "chardev:log",
            "-chardev", fmt::format("socket,id=port,fd={}", port_fd), "-device", "isa-debug-exit,iobase=0xf4,iosize=4"};
}

/// The same for booting and for loading.
std::vector<std::string> machine(const VirtualHostOptions& options) {
    std::vector<std::string> words = board(options, "");
    words.insert(words.end(), {"-machine", "pc,memory-backend=ram", "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port",
                               "-chardev", fmt::format("socket,id=monitor,fd={}", monitor_fd), "-mon", "chardev=monitor,mode=control"});
    return words;
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

std::vector<std::string> sealed_command(const VirtualHostOptions& options) {
    std::vector<std::string> words = board(options, " stackrig.sealed");
    words.insert(words.begin(), options.qemu);
    // 2^2 ns for each instruction; no clock of this machine, no randomness but the seed's, no device that somebody else drives.
    words.insert(words.end(), {"-icount", "shift=2,sleep=off", "-rtc", "base=2024-01-01T00:00:00,clock=vm", "-seed", "1",
                               "-device", "isa-debugcon,iobase=0xe9,chardev=port"});
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

namespace {

/// QEMU, with a channel to its port and the descriptors in `more`.
Result<std::unique_ptr<Channel>> start(const std::vector<std::string>& words, const VirtualHostOptions& options, std::vector<std::pair<int, int>> more) {
    STACKRIG_TRY_ASSIGN(SocketPair port, make_sockets());
    STACKRIG_TRY_ASSIGN(OwnedFd log, memory_file("kernel-log"));
    STACKRIG_TRY_ASSIGN(OwnedFd said, memory_file("qemu-words"));
    const OwnedFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    more.insert(more.end(), {{port.theirs.get(), port_fd}, {log.get(), log_fd}});
    const auto pid = spawn(words, {.standard = {nothing.get(), said.get(), said.get()}, .pass = std::move(more)});
    if (!pid) {
        return fail(ErrorKind::host, fmt::format("{}. Install it: apt-get install qemu-system-x86", pid.error().text));
    }
    return std::make_unique<Channel>(*pid, std::move(port.ours), std::move(log), std::move(said), options.send_patience);
}

}  // namespace

Result<Machine> launch(const VirtualHostOptions& options, const MachineFiles& files) {
    STACKRIG_TRY_ASSIGN(SocketPair monitor, make_sockets());
    const bool load = files.devices >= 0;
    std::vector<std::pair<int, int>> pass{{monitor.theirs.get(), monitor_fd}, {files.initrd, initrd_fd}, {files.ram, ram_fd}};
    if (load) {
        pass.emplace_back(files.devices, devices_number);
    }
    STACKRIG_TRY_ASSIGN(auto channel, start(command(options, load), options, std::move(pass)));
    return Machine{std::move(channel), Qmp(std::move(monitor.ours))};
}

Result<std::unique_ptr<Channel>> launch_sealed(const VirtualHostOptions& options, int initrd) {
    return start(sealed_command(options), options, {{initrd, initrd_fd}});
}

Result<std::string> machine_identity(const VirtualHostOptions& options, std::string_view initramfs) {
    STACKRIG_TRY_ASSIGN(const std::string qemu, identity_of(program_path(options.qemu)));
    STACKRIG_TRY_ASSIGN(const std::string kernel, identity_of(options.folder + "/vmlinux"));
    return fmt::format("{}\n{}\n{}\n{}", qemu, kernel, fmt::join(machine(options), "\n"), initramfs);
}

}  // namespace stackrig::host
