// The trace hash: what two runs have in common when they are the same run.
#pragma once

#include <cstdint>

#include "vmm/engine/stop.hpp"

namespace stackrig::engine {

/// FNV-1a over every stop: its kind, its numbers, and the registers a host must not influence.
class TraceHash {
  public:
    void add(const Stop& stop);
    [[nodiscard]] std::uint64_t value() const { return hash_; }

  private:
    void mix(std::uint64_t word);
    std::uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace stackrig::engine
