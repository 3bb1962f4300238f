// Starting a virtual host: from its saved state, or by booting, which then leaves a saved state.
#include <fmt/format.h>
#include <unistd.h>

#include "vmm/host/initramfs.hpp"
#include "vmm/host/qemu.hpp"
#include "vmm/host/virtual_host.hpp"

namespace stackrig::host {
namespace {

constexpr std::chrono::seconds monitor_patience{20};
constexpr std::chrono::seconds lock_patience{90};  // somebody else boots, warms up and saves meanwhile

/// The agent's frame that says it listens, or nothing when it does not come in time.
Result<std::optional<std::string>> wait_until_ready(Channel& channel, Deadline deadline) {
    STACKRIG_TRY_ASSIGN(const auto frame, channel.receive(deadline));
    if (!frame) {
        return std::nullopt;
    }
    if (frame->type != wire::Type::ready) {
        return fail(ErrorKind::rig, fmt::format("the virtual host's agent did not begin with a ready frame but with one of type {}: is it of another version? "
                                                "`ninja -C build` builds the one that fits", static_cast<std::uint32_t>(frame->type)));
    }
    return std::optional(frame->data);
}

}  // namespace

class VirtualHostStart {
  public:
    VirtualHostStart(const VirtualHostOptions& options, OwnedFd initrd) : options_(options), initrd_(std::move(initrd)) {}

    /// Loads, or boots and saves.
    Result<std::unique_ptr<VirtualHost>> with_states(const StateFolder& states) const {
        if (auto host = loaded(states)) {
            return host;
        }
        const auto lock = states.lock(in(lock_patience));
        if (!lock) {
            options_.say(fmt::format("the virtual host's state is not saved: {}", lock.error().text));
            return booted(nullptr);
        }
        if (auto host = loaded(states)) {  // by whoever held the lock
            return host;
        }
        return booted(&states);
    }

    /// Boots; saves in `states` unless that is null.
    Result<std::unique_ptr<VirtualHost>> booted(const StateFolder* states) const {
        constexpr int tries = 2;  // a boot under TCG stalls once in a while; a second one in a row is no accident
        std::string last_words;
        for (int i = 0; i < tries; ++i) {
            STACKRIG_TRY_ASSIGN(const OwnedFd ram, memory_file("ram"));
            if (::ftruncate(ram.get(), static_cast<off_t>(ram_bytes())) != 0) {
                return fail_errno(ErrorKind::host, "ftruncate", errno, "of the virtual host's RAM");
            }
            STACKRIG_TRY_ASSIGN(Machine machine, launch(options_, {.initrd = initrd_.get(), .ram = ram.get()}));
            STACKRIG_TRY_ASSIGN(const auto kernel, wait_until_ready(*machine.channel, in(options_.boot_patience)));
            if (!kernel) {
                last_words = machine.channel->last_words();
                options_.say(fmt::format("the virtual host did not boot within {} ms", options_.boot_patience.count()));
                continue;
            }
            std::unique_ptr<VirtualHost> host(new VirtualHost(std::move(machine.channel), {.kernel = *kernel, .files = {}}, false));
            if (states != nullptr) {
                STACKRIG_TRY(save(*host, machine.monitor, ram.get(), *states));
            }
            return host;
        }
        return fail(ErrorKind::host, fmt::format("the virtual host did not boot within {} ms, {} times.{}", options_.boot_patience.count(), tries,
                                                 last_words));
    }

    [[nodiscard]] std::uint64_t ram_bytes() const { return std::uint64_t{options_.memory_mib} << 20; }

  private:
    /// Null when there is no state, or none that is good; that has then been said.
    std::unique_ptr<VirtualHost> loaded(const StateFolder& states) const {
        auto host = load(states);
        if (host) {
            return std::move(*host);
        }
        options_.say(fmt::format("the saved state {} is not used, the virtual host is booted instead: {}", states.path(), host.error().text));
        states.remove();
        return nullptr;
    }

    Result<std::unique_ptr<VirtualHost>> load(const StateFolder& states) const {
        STACKRIG_TRY_ASSIGN(auto state, states.find());
        if (!state) {
            return nullptr;
        }
        STACKRIG_TRY_ASSIGN(Machine machine, launch(options_, {.initrd = initrd_.get(), .ram = state->ram.get(), .devices = state->devices.get()}));
        STACKRIG_TRY_ASSIGN(StateFacts facts, states.check(*state));  // while QEMU sets itself up: it has not been told to load yet
        const Deadline deadline = in(options_.load_patience);
        const auto asked = machine.monitor.begin(deadline).and_then([&] { return machine.monitor.load_from(devices_number, deadline); });
        // When QEMU is gone its last words say more than that its monitor is.
        STACKRIG_TRY(machine.channel->send(wire::Type::greet, {}));
        STACKRIG_TRY_ASSIGN(const auto kernel, wait_until_ready(*machine.channel, deadline));
        STACKRIG_TRY(asked);
        if (!kernel) {
            return fail(ErrorKind::host, fmt::format("it did not answer within {} ms.{}", options_.load_patience.count(), machine.channel->last_words()));
        }
        return std::unique_ptr<VirtualHost>(new VirtualHost(std::move(machine.channel), std::move(facts), true));
    }

    /// Warms the machine up, saves it, and lets it go on. Only a machine that does not go on is an error.
    Result<void> save(VirtualHost& host, Qmp& monitor, int ram, const StateFolder& states) const {
        if (options_.warm_up) {
            STACKRIG_TRY(options_.warm_up(host));
        }
        bool stopped = false;
        const auto saved = [&]() -> Result<void> {
            STACKRIG_TRY(monitor.begin(in(monitor_patience)));
            STACKRIG_TRY_ASSIGN(const OwnedFd file, states.create());
            stopped = true;
            STACKRIG_TRY(monitor.save_to(file.get(), in(monitor_patience)));
            return states.commit(file.get(), ram, host.facts_);
        }();
        if (!saved) {
            options_.say(fmt::format("the virtual host's state is not saved: {}", saved.error().text));
        }
        return stopped ? monitor.go_on(in(monitor_patience)) : Result<void>();
    }

    const VirtualHostOptions& options_;
    OwnedFd initrd_;
};

Result<std::unique_ptr<VirtualHost>> VirtualHost::start(const VirtualHostOptions& options) {
    if (::access((options.folder + "/vmlinux").c_str(), R_OK) != 0) {
        return fail(ErrorKind::host, fmt::format("the virtual host has no kernel: {}/vmlinux cannot be read. `vmm/host/fetch-kernel.sh BUILD` fetches it",
                                                 options.folder));
    }
    STACKRIG_TRY_ASSIGN(const std::string initramfs, build_initramfs(options.agent, options.folder));
    STACKRIG_TRY_ASSIGN(OwnedFd initrd, memory_file("initrd"));
    STACKRIG_TRY(write_all(initrd.get(), initramfs, "the virtual host's initial RAM filesystem"));
    const VirtualHostStart start(options, std::move(initrd));
    if (options.states.empty()) {
        return start.booted(nullptr);
    }
    const auto identity = machine_identity(options, initramfs);
    if (!identity) {
        return start.booted(nullptr);  // what is missing will be said there
    }
    return start.with_states(StateFolder(options.states, options.nested_paging ? "npt1" : "npt0", *identity, start.ram_bytes()));
}

}  // namespace stackrig::host
