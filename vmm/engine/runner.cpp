// One whole run, and the guest's identity.
#include "vmm/engine/runner.hpp"

#include <array>
#include <cstring>
#include <fmt/format.h>

#include "guest/abi/layout.hpp"
#include "guest/abi/state.hpp"
#include "vmm/engine/session.hpp"

namespace stackrig::engine {

Result<void> check_guest(const x86::Elf& guest) {
    const auto note = guest.note("stackrig");
    std::array<std::uint32_t, 2> versions{};
    if (!note || note->size() != sizeof versions) {
        return fail(ErrorKind::usage, fmt::format("{} is no guest of this rig: it carries no \"stackrig\" note. Build it with `ninja -C build`",
                                                  guest.path()));
    }
    std::memcpy(versions.data(), note->data(), sizeof versions);
    if (versions != std::array{abi::abi_version, abi::layout_hash()}) {
        return fail(ErrorKind::usage, fmt::format("{} speaks ABI version {} with layout {:#x}, this program version {} with layout {:#x}: build "
                                                  "both from one tree",
                                                  guest.path(), versions[0], versions[1], abi::abi_version, abi::layout_hash()));
    }
    return {};
}

Result<RunOutcome> run(const kvm::System& system, const x86::Elf& guest, const RunPlan& plan, Observer& observer,
                       const RunOptions& options) {
    STACKRIG_TRY_ASSIGN(const auto session, Session::create(system, guest, plan, observer, options));
    for (;;) {
        STACKRIG_TRY_ASSIGN(const bool ready, session->poise());
        if (!ready) {
            return session->finish();
        }
        STACKRIG_TRY(session->go());
    }
}

}  // namespace stackrig::engine
