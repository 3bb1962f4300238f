// Choosing the host.
#include "vmm/host/session.hpp"

#include <fmt/format.h>

namespace stackrig::host {
namespace {

constexpr std::chrono::seconds probe_patience{30};
constexpr std::chrono::seconds warm_patience{60};

std::vector<std::string> worker_arguments(const std::string& guest) { return {"worker", "--guest", guest}; }

/// Why the local KVM will not do, or nothing.
std::optional<std::string> local_shortcoming(const BuildPaths& paths) {
    const auto report = probe_local(paths);
    if (!report) {
        return report.error().text;
    }
    if (report->value("sufficient", false)) {
        return std::nullopt;
    }
    std::string failed;
    for (const Json& item : (*report)["items"]) {
        if (item.value("required", false) && !item.value("ok", false)) {
            failed += (failed.empty() ? "" : ", ") + item.value("name", "");
        }
    }
    return fmt::format("the local /dev/kvm fails the probe ({}; ./rig doctor says more)", failed);
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// A worker that has made its VMs and is gone leaves the kernel's caches warm and itself in the virtual host's files.
Result<void> warm_up(VirtualHost& host, const BuildPaths& paths) {
    const std::string guest = "/job/" + base_name(paths.guest);
    STACKRIG_TRY_ASSIGN(auto process, host.run(paths.program, worker_arguments(guest), {{paths.guest, guest}}));
    WorkerClient worker(std::move(process));
    STACKRIG_TRY(worker.ask({{"do", "probe"}}, warm_patience));
    return worker.finish(warm_patience);
}

}  // namespace

Result<Json> probe_local(const BuildPaths& paths) {
    std::vector<std::string> argv = worker_arguments(paths.guest);
    argv.insert(argv.begin(), paths.program);
    STACKRIG_TRY_ASSIGN(auto process, start_local(argv));
    WorkerClient worker(std::move(process));
    return worker.ask({{"do", "probe"}, {"steps", paths.steps}}, probe_patience);
}

Result<void> Session::boot() {
    STACKRIG_TRY_ASSIGN(virtual_, VirtualHost::start(*virtual_options_));
    return {};
}

Result<std::unique_ptr<Session>> Session::open(const SessionOptions& options) {
    std::unique_ptr<Session> session(new Session(options.paths));
    std::string why = "--host virtual asks for it";
    if (options.kind != HostKind::virtual_host) {
        const auto shortcoming = local_shortcoming(options.paths);
        if (!shortcoming) {
            session->headline_ = fmt::format("host: local /dev/kvm, {}", options.kind == HostKind::local ? "--host local asks for it" : "the probe found all that is required");
            return session;
        }
        if (options.kind == HostKind::local) {
            return fail(ErrorKind::host, fmt::format("{}. Use --host virtual, or a machine with VMX or SVM", *shortcoming));
        }
        why = *shortcoming;
    }
    session->virtual_options_ = VirtualHostOptions{
        .folder = options.paths.kernel, .agent = options.paths.agent, .nested_paging = options.nested_paging, .states = options.paths.states,
        .warm_up = [paths = options.paths](VirtualHost& host) { return warm_up(host, paths); }, .say = options.say};
    STACKRIG_TRY(session->boot());
    session->headline_ = fmt::format("host: virtual (QEMU TCG with SVM, Linux {}, kvm-amd npt={}), because {}", session->virtual_->kernel(),
                                     options.nested_paging ? 1 : 0, why);
    return session;
}

Result<std::unique_ptr<Process>> Session::start_program(const std::string& program, const std::vector<std::string>& arguments,
                                                        const std::vector<std::string>& files) {
    if (!is_virtual()) {
        std::vector<std::string> argv{program};
        argv.insert(argv.end(), arguments.begin(), arguments.end());
        return start_local(argv);
    }
    if (!virtual_) {
        STACKRIG_TRY(boot());
    }
    std::vector<HostFile> put;
    for (const std::string& file : files) {
        put.push_back({file, path_there(file)});
    }
    return virtual_->run(program, arguments, put);
}

std::string Session::path_there(const std::string& file) const {
    return is_virtual() ? "/job/" + base_name(file) : file;
}

Result<std::unique_ptr<WorkerClient>> Session::start_worker(const std::vector<std::string>& guests) {
    std::vector<std::string> files{paths_.guest};
    files.insert(files.end(), guests.begin(), guests.end());
    STACKRIG_TRY_ASSIGN(auto process, start_program(paths_.program, worker_arguments(path_there(paths_.guest)), files));
    return std::make_unique<WorkerClient>(std::move(process));
}

}  // namespace stackrig::host
