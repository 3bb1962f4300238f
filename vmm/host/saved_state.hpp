// The saved machine state of a booted virtual host: one file per flavour, found by what it depends on, believed only when whole.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/host/child.hpp"

namespace stackrig::host {

/// What tells a file from another of the same path without reading it: "path size mtime_ns". Error (host): no such file.
[[nodiscard]] Result<std::string> identity_of(const std::string& path);

/// Files a virtual host holds: path there -> identity of the file here.
using HeldFiles = std::map<std::string, std::string>;

/// The machine when it was saved, apart from RAM and devices.
struct StateFacts {
    std::string kernel;  ///< its release
    HeldFiles files;
};

/// A file found under the name of a state. RAM is at offset 0, the devices follow.
struct SavedState {
    OwnedFd ram;
    OwnedFd devices;  ///< a descriptor of its own, standing where the devices begin
};

class StateFolder {
  public:
    /// States of `flavour` ("npt0") in `folder`, which need not be there yet. `depends_on` is all the state depends on; its
    /// hash is part of the file's name. `ram_bytes`: the machine's RAM.
    StateFolder(std::string folder, std::string flavour, const std::string& depends_on, std::uint64_t ram_bytes);

    /// Nothing: there is none. What is found is not to be believed before check(). Error (host): it cannot be opened.
    [[nodiscard]] Result<std::optional<SavedState>> find() const;
    /// Reads all of it. Error (host): what is wrong with it.
    [[nodiscard]] Result<StateFacts> check(const SavedState& state) const;

    /// While this lives nobody else saves in the folder; the kernel ends it with the process. Waits for another's. Error (host).
    [[nodiscard]] Result<OwnedFd> lock(Deadline deadline) const;

    /// A file without a name yet, standing where the devices are to be written. Whoever is killed before commit() leaves
    /// nothing behind. Errors (host): no such folder can be made, or the file system has no such files.
    [[nodiscard]] Result<OwnedFd> create() const;
    /// Copies `ram` in, adds what else there is to say and gives the file its name; removes states of this flavour that
    /// have another. The lock must be held. Errors (host): no space, and whatever else a file system says.
    [[nodiscard]] Result<void> commit(int file, int ram, const StateFacts& facts) const;
    void remove() const;

    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    void remove_stale() const;

    std::string folder_, flavour_, name_, path_;
    std::uint64_t ram_bytes_;
};

}  // namespace stackrig::host
