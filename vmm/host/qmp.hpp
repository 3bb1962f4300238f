// Talking to a QEMU: the few QMP commands that saving and loading a machine take.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/host/child.hpp"
#include "vmm/host/stream.hpp"

namespace stackrig::host {

/// QEMU's monitor in its JSON form (QEMU, docs/interop/qmp-spec.txt), over a socket that QEMU was given.
class Qmp {
  public:
    explicit Qmp(OwnedFd socket) : socket_(std::move(socket)) {}

    /// Takes QEMU's greeting and lets RAM that lies in a file stay out of what is migrated. To be called once, first.
    [[nodiscard]] Result<void> begin(Deadline deadline);
    /// Loads the machine's devices from `number`, a descriptor of QEMU's, and lets the machine go on. QEMU may refuse
    /// them later: then it ends.
    [[nodiscard]] Result<void> load_from(int number, Deadline deadline);
    /// Stops the machine and writes its devices to `file`, from where that stands.
    [[nodiscard]] Result<void> save_to(int file, Deadline deadline);
    /// Lets a machine that was saved go on.
    [[nodiscard]] Result<void> go_on(Deadline deadline);

  private:
    /// Errors (host): QEMU's own words, its end, or silence until the deadline. `file` goes along when it is not -1.
    [[nodiscard]] Result<Json> execute(std::string_view command, const Json& arguments, Deadline deadline, int file = -1);
    [[nodiscard]] Result<Json> next_line(Deadline deadline);

    OwnedFd socket_;
    std::string buffer_;
};

}  // namespace stackrig::host
