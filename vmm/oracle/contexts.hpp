// Interrupted contexts: what an event found, and whether it left it so (I12); frames that a second event
// overwrites (I13).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/oracle/scene.hpp"

namespace stackrig::oracle {

/// What was going on where an event was delivered.
struct Interrupted {
    std::optional<ThreadId> thread;
    CpuId cpu;
    abi::Entry entry = abi::Entry::none;
    Gva rip;
    Gva rsp;
    std::uint16_t cs = 0;
    std::uint64_t rflags = 0;
    Gva cr2;
    Gva gs_base;
    std::array<std::uint64_t, 16> gpr = {};  ///< order of CpuState
    bool operator==(const Interrupted&) const = default;

    [[nodiscard]] bool user_mode() const { return (cs & 3) == 3; }
};

class Contexts {
  public:
    void observe(const Scene& scene);

    bool operator==(const Contexts&) const = default;

  private:
    void land(const Scene& s, const engine::LandedStop& landed);
    void check_return(const Scene& s);
    void check_frames(const Scene& s);

    std::vector<Interrupted> open_;
};

}  // namespace stackrig::oracle
