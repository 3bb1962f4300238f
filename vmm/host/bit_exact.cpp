// A sealed virtual host: all that goes in goes in before it starts.
#include "vmm/host/bit_exact.hpp"

#include <fmt/format.h>

#include "vmm/host/channel.hpp"
#include "vmm/host/initramfs.hpp"
#include "vmm/host/qemu.hpp"

namespace stackrig::host {
namespace {

/// The worker with its guest, and the frames that the agent will read instead of a port.
Result<std::vector<InitramfsFile>> contents(const BuildPaths& paths, const Json& request) {
    const std::string guest = "/job/guest.elf";
    STACKRIG_TRY_ASSIGN(const std::vector<HostFile> needed, program_files(paths.program, {{paths.guest, guest}}));
    std::vector<InitramfsFile> files;
    for (const HostFile& file : needed) {
        STACKRIG_TRY_ASSIGN(std::string bytes, read_file(file.here, "it is needed in the virtual host"));
        files.push_back({file.there.substr(1), std::move(bytes)});
    }
    std::string frames = encode(wire::Type::exec, packed_words(paths.program, {"worker", "--guest", guest}));
    frames += encode(wire::Type::input, encode_message(request)) + encode(wire::Type::input_end, {});
    files.push_back({"frames", std::move(frames)});
    return files;
}

/// The worker's one answer out of the frames that come.
Result<Json> answer_from(Channel& channel, std::chrono::milliseconds patience) {
    const Deadline deadline = in(patience);
    MessageReader reader;
    std::string complaints;
    for (;;) {
        STACKRIG_TRY_ASSIGN(const auto frame, channel.receive(deadline));
        if (!frame) {
            return fail(ErrorKind::host, fmt::format("the bit-exact virtual host gave no answer within {} s.{}", patience.count() / 1000, channel.last_words()));
        }
        if (frame->type == wire::Type::output) {
            reader.feed(frame->data);
        } else if (frame->type == wire::Type::error) {
            complaints += frame->data;
        } else if (frame->type != wire::Type::ready) {
            return fail(ErrorKind::rig, "the worker ended before it answered. It said:\n" + complaints);
        }
        STACKRIG_TRY_ASSIGN(auto message, reader.next());
        if (message) {
            return std::move(*message);
        }
    }
}

}  // namespace

Result<Json> ask_bit_exact(const BuildPaths& paths, bool nested_paging, const Json& request, std::chrono::milliseconds patience) {
    const VirtualHostOptions options{.folder = paths.kernel, .agent = paths.agent, .nested_paging = nested_paging};
    STACKRIG_TRY_ASSIGN(const std::vector<InitramfsFile> files, contents(paths, request));
    STACKRIG_TRY_ASSIGN(const std::string initramfs, build_initramfs(options.agent, options.folder, files));
    STACKRIG_TRY_ASSIGN(const OwnedFd initrd, memory_file("initrd"));
    STACKRIG_TRY(write_all(initrd.get(), initramfs, "the virtual host's initial RAM filesystem"));
    STACKRIG_TRY_ASSIGN(const auto channel, launch_sealed(options, initrd.get()));
    STACKRIG_TRY_ASSIGN(Json answer, answer_from(*channel, patience));
    return taken(std::move(answer));
}

}  // namespace stackrig::host
