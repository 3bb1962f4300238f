// PID 1 of the virtual host: loads the modules, then puts files and runs jobs as the launcher says, one at a time.
// Static and without exceptions to the rule: whatever goes wrong is said in a frame or, before the port is open, on the
// kernel's console.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "vmm/host/wire.hpp"

namespace {

namespace wire = stackrig::host::wire;
using wire::Type;

constexpr unsigned short debug_exit_port = 0xf4;
constexpr unsigned short debug_console_port = 0xe9;
constexpr const char* port_path = "/dev/vport0p1";
constexpr const char* sealed_path = "/frames";

int port = -1;        // frames come from here, and go there unless `sealed`
bool sealed = false;  // all frames lie in a file and nothing comes from outside: for runs that must be the same to the tick

[[noreturn]] void power_off() {
    if (ioperm(debug_exit_port, 4, 1) == 0) {
        outl(0x20, debug_exit_port);  // isa-debug-exit: the mark of a proper end
    }
    reboot(RB_POWER_OFF);
    for (;;) {
        pause();
    }
}

[[noreturn]] void give_up(const char* what) {
    std::printf("stackrig agent: %s: %s\n", what, std::strerror(errno));
    std::fflush(stdout);
    power_off();
}

bool write_all(int fd, const void* data, std::size_t size) {
    const char* at = static_cast<const char*>(data);
    while (size > 0) {
        const ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

bool read_all(int fd, void* data, std::size_t size) {
    char* at = static_cast<char*>(data);
    while (size > 0) {
        const ssize_t n = read(fd, at, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

bool put(const void* data, std::size_t size) {
    if (!sealed) {
        return write_all(port, data, size);
    }
    asm volatile("rep outsb" : "+S"(data), "+c"(size) : "d"(debug_console_port) : "memory");
    return true;
}

void send(Type type, const void* data, std::size_t size) {
    const wire::Header header{wire::magic, static_cast<std::uint32_t>(type), static_cast<std::uint32_t>(size)};
    if (!put(&header, sizeof header) || !put(data, size)) {
        power_off();  // nobody listens any more
    }
}
void send_text(Type type, const std::string& text) { send(type, text.data(), text.size()); }
void send_number(Type type, std::uint32_t number) { send(type, &number, sizeof number); }

struct Frame {
    Type type;
    std::string data;
};

Frame receive() {
    wire::Header header{};
    if (!read_all(port, &header, sizeof header) || header.magic != wire::magic || header.length > wire::max_length) {
        power_off();
    }
    Frame frame{static_cast<Type>(header.type), std::string(header.length, '\0')};
    if (!read_all(port, frame.data.data(), header.length)) {
        power_off();
    }
    return frame;
}

// --- set-up ---

bool kernel_wants(const char* word) {
    char line[4096] = {};
    const int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && read(fd, line, sizeof line - 1) > 0;
    close(fd);
    return ok && std::strstr(line, word) != nullptr;
}

void load_modules() {
    std::FILE* order = std::fopen("/modules/order", "re");
    if (order == nullptr) {
        give_up("/modules/order");
    }
    char name[256];
    while (std::fscanf(order, "%255s", name) == 1) {
        const std::string path = std::string("/modules/") + name;
        const bool amd = std::strcmp(name, "kvm-amd.ko") == 0;
        const char* parameters = amd ? (kernel_wants("stackrig.npt=1") ? "npt=1" : "npt=0") : "";
        const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, parameters, 0) != 0 && errno != EEXIST)) {
            give_up(path.c_str());
        }
        close(fd);
    }
    std::fclose(order);
}

void open_port() {
    for (int tries = 0; tries < 400 && port < 0; ++tries) {
        port = open(port_path, O_RDWR | O_CLOEXEC);
        if (port < 0) {
            usleep(5000);
        }
    }
    if (port < 0) {
        give_up(port_path);
    }
}

void open_frames() {
    sealed = true;
    port = open(sealed_path, O_RDONLY | O_CLOEXEC);
    if (port < 0 || ioperm(debug_console_port, 1, 1) != 0) {
        give_up(sealed_path);
    }
}

void send_ready() {
    utsname name{};
    uname(&name);
    send_text(Type::ready, name.release);
}

// --- jobs ---

void make_parents(const std::string& path) {
    for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
        mkdir(path.substr(0, at).c_str(), 0755);
    }
}

int begin_file(const std::string& path) {
    make_parents(path);
    unlink(path.c_str());
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (fd < 0) {
        send_text(Type::failed, path + ": " + std::strerror(errno));
    }
    return fd;
}

struct Job {
    pid_t pid = -1;
    int in = -1;
    int out = -1;
    int err = -1;
};

bool start(const std::string& packed, Job& job) {
    std::vector<char*> argv;
    for (std::size_t at = 0; at < packed.size(); at = packed.find('\0', at) + 1) {
        argv.push_back(const_cast<char*>(packed.data() + at));
    }
    argv.push_back(nullptr);
    int in[2];
    int out[2];
    int err[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
        send_text(Type::failed, std::string("pipe: ") + std::strerror(errno));
        return false;
    }
    job.pid = fork();
    if (job.pid == 0) {
        setsid();
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        (void)!chdir("/job");  // where files are put: relative names work as they do beside the program here
        execv(argv[0], argv.data());
        std::fprintf(stderr, "%s: %s\n", argv[0], std::strerror(errno));
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    job.in = in[1];
    job.out = out[0];
    job.err = err[0];
    return job.pid > 0;
}

/// One chunk from `fd` to the launcher; closes it at its end.
void forward(int& fd, Type type) {
    char buffer[65536];
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0) {
        send(type, buffer, static_cast<std::size_t>(n));
    } else if (n == 0 || errno != EINTR) {
        close(fd);
        fd = -1;
    }
}

void close_input(Job& job) {
    if (job.in >= 0) {
        close(job.in);
        job.in = -1;
    }
}

void on_frame(const Frame& frame, Job& job) {
    if (frame.type == Type::input && job.in >= 0) {
        if (!write_all(job.in, frame.data.data(), frame.data.size())) {
            close_input(job);  // the job does not read any more: its business
        }
    } else if (frame.type == Type::input_end) {
        close_input(job);
    } else if (frame.type == Type::kill) {
        kill(-job.pid, SIGKILL);
    } else if (frame.type == Type::power_off) {
        power_off();
    }
}

void report_end(const Job& job) {
    int status = 0;
    while (waitpid(job.pid, &status, 0) < 0 && errno == EINTR) {
    }
    kill(-job.pid, SIGKILL);  // whatever it left behind
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (WIFSIGNALED(status)) {
        send_number(Type::signalled, static_cast<std::uint32_t>(WTERMSIG(status)));
    } else {
        send_number(Type::exited, static_cast<std::uint32_t>(WEXITSTATUS(status)));
    }
}

void run(const std::string& packed) {
    Job job;
    if (!start(packed, job)) {
        return;
    }
    while (job.out >= 0 || job.err >= 0) {
        const int from = sealed && job.in < 0 ? -1 : port;  // the file's end is not the job's
        pollfd fds[] = {{from, POLLIN, 0}, {job.out, POLLIN, 0}, {job.err, POLLIN, 0}};
        if (poll(fds, 3, -1) < 0) {
            continue;
        }
        if (fds[1].revents != 0) {
            forward(job.out, Type::output);
        }
        if (fds[2].revents != 0) {
            forward(job.err, Type::error);
        }
        if (fds[0].revents != 0) {
            on_frame(receive(), job);
        }
    }
    close_input(job);
    report_end(job);
}

}  // namespace

int main() {
    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mkdir("/sys", 0755);
    mkdir("/tmp", 01777);
    if (mount("proc", "/proc", "proc", 0, nullptr) != 0 || mount("sys", "/sys", "sysfs", 0, nullptr) != 0 ||
        mount("dev", "/dev", "devtmpfs", 0, nullptr) != 0) {
        give_up("mount");
    }
    const int console = open("/dev/console", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; ++fd) {
        dup2(console, fd);
    }
    signal(SIGPIPE, SIG_IGN);
    setenv("LD_LIBRARY_PATH", "/job/lib", 1);
    setenv("TMPDIR", "/tmp", 1);
    load_modules();
    kernel_wants("stackrig.sealed") ? open_frames() : open_port();
    send_ready();
    int file = -1;
    for (;;) {
        const Frame frame = receive();
        switch (frame.type) {
            case Type::file_begin: file = begin_file(frame.data); break;
            case Type::file_data:
                if (file >= 0 && !write_all(file, frame.data.data(), frame.data.size())) {
                    send_text(Type::failed, std::string("writing a file: ") + std::strerror(errno));
                    close(file);
                    file = -1;
                }
                break;
            case Type::file_end:
                close(file);
                file = -1;
                break;
            case Type::exec: run(frame.data); break;
            case Type::greet: send_ready(); break;
            case Type::power_off: power_off();
            default: break;  // input or kill that crossed the job's end
        }
    }
}
