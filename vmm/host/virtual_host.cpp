// Programs inside the virtual host.
#include "vmm/host/virtual_host.hpp"

#include <cstring>
#include <fmt/format.h>
#include <sstream>

#include "vmm/host/channel.hpp"
#include "vmm/host/initramfs.hpp"

namespace stackrig::host {
namespace {

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
            default: return fail(ErrorKind::rig, fmt::format("the virtual host's agent sent a frame out of turn (type {}): is it of another version? "
                                                                 "`ninja -C build` builds the one that fits", static_cast<std::uint32_t>(frame->type)));
        }
    }

  private:
    Channel& channel_;
};

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Result<std::vector<HostFile>> program_files(const std::string& program, const std::vector<HostFile>& files) {
    STACKRIG_TRY_ASSIGN(const auto libraries, libraries_of(program));
    std::vector<HostFile> needed{{program, program_there(program)}};
    for (const std::string& library : libraries) {
        const bool loader = base_name(library).starts_with("ld-linux");
        needed.push_back({library, loader ? "/lib64/" + base_name(library) : "/job/lib/" + base_name(library)});
    }
    needed.insert(needed.end(), files.begin(), files.end());
    return needed;
}

std::string program_there(const std::string& program) { return "/job/" + base_name(program); }

std::string packed_words(const std::string& program, const std::vector<std::string>& arguments) {
    std::string packed = program_there(program) + '\0';
    for (const std::string& argument : arguments) {
        packed += argument + '\0';
    }
    return packed;
}

VirtualHost::VirtualHost(std::unique_ptr<Channel> channel, StateFacts facts, bool was_loaded)
    : channel_(std::move(channel)), facts_(std::move(facts)), was_loaded_(was_loaded) {}
VirtualHost::~VirtualHost() = default;
int VirtualHost::pid() const { return channel_->pid(); }

Result<void> VirtualHost::put(const HostFile& file) {
    STACKRIG_TRY_ASSIGN(const std::string identity, identity_of(file.here));
    std::string& held = facts_.files[file.there];
    if (held == identity) {
        return {};
    }
    STACKRIG_TRY_ASSIGN(const std::string bytes, read_file(file.here, "it is needed in the virtual host"));
    STACKRIG_TRY(channel_->send(wire::Type::file_begin, file.there));
    STACKRIG_TRY(channel_->send_all(wire::Type::file_data, bytes));
    STACKRIG_TRY(channel_->send(wire::Type::file_end, {}));
    held = identity;
    return {};
}

Result<std::unique_ptr<Process>> VirtualHost::run(const std::string& program, const std::vector<std::string>& arguments,
                                                  const std::vector<HostFile>& files) {
    STACKRIG_TRY_ASSIGN(const std::vector<HostFile> needed, program_files(program, files));
    for (const HostFile& file : needed) {
        STACKRIG_TRY(put(file));
    }
    STACKRIG_TRY(channel_->send(wire::Type::exec, packed_words(program, arguments)));
    return std::unique_ptr<Process>(new RemoteProcess(*channel_));
}

}  // namespace stackrig::host
