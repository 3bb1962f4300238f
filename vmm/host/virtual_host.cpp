// Booting QEMU, and programs inside.
#include "vmm/host/virtual_host.hpp"

#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sstream>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/host/channel.hpp"
#include "vmm/host/initramfs.hpp"

namespace stackrig::host {
namespace {

constexpr int port_fd = 10;  // as QEMU sees them
constexpr int log_fd = 11;
constexpr int initrd_fd = 12;

// What makes the boot quick: no self-tests, no certificates, no probing of devices that are not there.
constexpr std::string_view kernel_command_line =
    "quiet loglevel=4 console=ttyS0 panic=-1 cryptomgr.notests mitigations=off "
    "initcall_blacklist=load_system_certificate_list,init_kprobe_trace,cubictcp_register i8042.noaux i8042.nokbd no_timer_check "
    "tsc=reliable rcupdate.rcu_expedited=1 pci=noacpi";

Result<OwnedFd> memory_file(const char* name) {
    const int fd = ::memfd_create(name, MFD_CLOEXEC);
    if (fd < 0) {
        return fail_errno(ErrorKind::host, "memfd_create");
    }
    return OwnedFd(fd);
}

std::vector<std::string> qemu_command(const VirtualHostOptions& options) {
    return {options.qemu, "-accel", "tcg", "-cpu", "EPYC,+svm,+npt", "-m", std::to_string(options.memory_mib), "-nodefaults",
            "-no-user-config", "-display", "none", "-no-reboot", "-kernel", options.folder + "/vmlinux",
            "-initrd", fmt::format("/dev/fd/{}", initrd_fd), "-append",
            fmt::format("{} stackrig.npt={}", kernel_command_line, options.nested_paging ? 1 : 0),
            "-chardev", fmt::format("file,id=log,path=/dev/fd/{}", log_fd), "-serial", "chardev:log",
            "-chardev", fmt::format("socket,id=port,fd={}", port_fd),
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4"};
}

Result<std::unique_ptr<Channel>> launch(const VirtualHostOptions& options, int initrd) {
    int sockets[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        return fail_errno(ErrorKind::host, "socketpair");
    }
    OwnedFd ours(sockets[0]);
    const OwnedFd theirs(sockets[1]);
    STACKRIG_TRY_ASSIGN(OwnedFd log, memory_file("kernel-log"));
    STACKRIG_TRY_ASSIGN(OwnedFd words, memory_file("qemu-words"));
    const OwnedFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const auto pid = spawn(qemu_command(options), {.standard = {nothing.get(), words.get(), words.get()},
                                                   .pass = {{theirs.get(), port_fd}, {log.get(), log_fd}, {initrd, initrd_fd}}});
    if (!pid) {
        return fail(ErrorKind::host, fmt::format("{}. Install it: apt-get install qemu-system-x86", pid.error().text));
    }
    return std::make_unique<Channel>(*pid, std::move(ours), std::move(log), std::move(words));
}

/// The agent's first frame, or nothing when it does not come in time.
Result<std::optional<std::string>> wait_until_ready(Channel& channel, Deadline deadline) {
    STACKRIG_TRY_ASSIGN(const auto frame, channel.receive(deadline));
    if (!frame) {
        return std::nullopt;
    }
    if (frame->type != wire::Type::ready) {
        return fail(ErrorKind::rig, "the virtual host's agent did not begin with a ready frame");
    }
    return std::optional(frame->data);
}

/// Paths of the shared libraries a program needs, and of its loader, by the loader's own account.
Result<std::vector<std::string>> libraries_of(const std::string& program) {
    STACKRIG_TRY_ASSIGN(const auto process, start_local({"/lib64/ld-linux-x86-64.so.2", "--list", program}));
    std::string text;
    for (;;) {
        STACKRIG_TRY_ASSIGN(const auto event, process->next(in(std::chrono::seconds(10))));
        if (!event || std::holds_alternative<Process::Ended>(*event)) {
            break;
        }
        text += std::get<Process::Output>(*event).bytes;
    }
    std::vector<std::string> paths;
    std::istringstream words(text);
    for (std::string word; words >> word;) {
        if (word.front() == '/') {
            paths.push_back(word);
        }
    }
    return paths;
}

class RemoteProcess final : public Process {
  public:
    explicit RemoteProcess(Channel& channel) : channel_(channel) {}
    Result<void> write(std::string_view bytes) override { return channel_.send_all(wire::Type::input, bytes); }
    Result<void> close_input() override { return channel_.send(wire::Type::input_end, {}); }
    void kill() override { (void)channel_.send(wire::Type::kill, {}); }

    Result<std::optional<Event>> next(Deadline deadline) override {
        STACKRIG_TRY_ASSIGN(auto frame, channel_.receive(deadline));
        if (!frame) {
            return std::nullopt;
        }
        std::int32_t number = 0;
        std::memcpy(&number, frame->data.data(), std::min(sizeof number, frame->data.size()));
        switch (frame->type) {
            case wire::Type::output: return std::optional<Event>(Output{false, std::move(frame->data)});
            case wire::Type::error: return std::optional<Event>(Output{true, std::move(frame->data)});
            case wire::Type::exited: return std::optional<Event>(Ended{Ended::How::exited, number});
            case wire::Type::signalled: return std::optional<Event>(Ended{Ended::How::signalled, number});
            case wire::Type::failed: return fail(ErrorKind::host, "the virtual host's agent: " + frame->data);
            default: return fail(ErrorKind::rig, "the virtual host's agent sent a frame out of turn");
        }
    }

  private:
    Channel& channel_;
};

Result<void> put(Channel& channel, const HostFile& file) {
    STACKRIG_TRY_ASSIGN(const std::string bytes, read_file(file.here, "it is needed in the virtual host"));
    STACKRIG_TRY(channel.send(wire::Type::file_begin, file.there));
    STACKRIG_TRY(channel.send_all(wire::Type::file_data, bytes));
    return channel.send(wire::Type::file_end, {});
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

VirtualHost::VirtualHost(std::unique_ptr<Channel> channel) : channel_(std::move(channel)) {}
VirtualHost::~VirtualHost() = default;
int VirtualHost::pid() const { return channel_->pid(); }

Result<std::unique_ptr<VirtualHost>> VirtualHost::start(const VirtualHostOptions& options) {
    if (::access((options.folder + "/vmlinux").c_str(), R_OK) != 0) {
        return fail(ErrorKind::host, fmt::format("the virtual host has no kernel: {}/vmlinux cannot be read. `vmm/host/fetch-kernel.sh BUILD` fetches it",
                                                 options.folder));
    }
    STACKRIG_TRY_ASSIGN(const std::string initramfs, build_initramfs(options.agent, options.folder));
    STACKRIG_TRY_ASSIGN(const OwnedFd initrd, memory_file("initrd"));
    STACKRIG_TRY(write_all(initrd.get(), initramfs, "the virtual host's initial RAM filesystem"));
    constexpr int tries = 2;  // a boot under TCG stalls once in a while; a second one in a row is no accident
    std::string last_words;
    for (int i = 0; i < tries; ++i) {
        STACKRIG_TRY_ASSIGN(auto channel, launch(options, initrd.get()));
        STACKRIG_TRY_ASSIGN(const auto kernel, wait_until_ready(*channel, in(options.boot_patience)));
        if (kernel) {
            std::unique_ptr<VirtualHost> host(new VirtualHost(std::move(channel)));
            host->kernel_ = *kernel;
            return host;
        }
        last_words = channel->last_words();
    }
    return fail(ErrorKind::host, fmt::format("the virtual host did not boot within {} ms, {} times.{}", options.boot_patience.count(), tries,
                                             last_words));
}

Result<std::unique_ptr<Process>> VirtualHost::run(const std::string& program, const std::vector<std::string>& arguments,
                                                  const std::vector<HostFile>& files) {
    STACKRIG_TRY_ASSIGN(const auto libraries, libraries_of(program));
    const std::string there = "/job/" + base_name(program);
    STACKRIG_TRY(put(*channel_, {program, there}));
    for (const std::string& library : libraries) {
        const bool loader = base_name(library).starts_with("ld-linux");
        STACKRIG_TRY(put(*channel_, {library, loader ? "/lib64/" + base_name(library) : "/job/lib/" + base_name(library)}));
    }
    for (const HostFile& file : files) {
        STACKRIG_TRY(put(*channel_, file));
    }
    std::string packed = there + '\0';
    for (const std::string& argument : arguments) {
        packed += argument + '\0';
    }
    STACKRIG_TRY(channel_->send(wire::Type::exec, packed));
    return std::unique_ptr<Process>(new RemoteProcess(*channel_));
}

}  // namespace stackrig::host
