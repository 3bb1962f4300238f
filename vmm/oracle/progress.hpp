// Who waits for whom: what each blocked thread needs, and which threads could bring it.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/oracle/scene.hpp"

namespace stackrig::oracle {

/// What a program has still to do.
class Programs {
  public:
    explicit Programs(const Scene& scene) : s_(scene) {}
    /// A system call `number` with argument `object` is still to come, or is the one going on.
    [[nodiscard]] bool may_call(ThreadId t, abi::Sys number, std::uint32_t object) const;
    /// It will give hogged frames back.
    [[nodiscard]] bool may_release(ThreadId t) const;
    /// It has locked mutex `object` and not unlocked it.
    [[nodiscard]] bool holds_mutex(ThreadId t, std::uint32_t object) const;

  private:
    [[nodiscard]] const engine::ThreadPlan* plan_of(ThreadId t) const;
    [[nodiscard]] std::size_t position(ThreadId t, const std::vector<abi::Op>& program) const;
    template <class Wanted>
    [[nodiscard]] bool to_come(ThreadId t, Wanted wanted) const;

    const Scene& s_;
};

/// A thread that cannot go on, and the threads that only could let it, none of which can go on either.
struct Stuck {
    ThreadId thread;
    std::vector<ThreadId> needs;
};

/// The threads that can never go on again by what the threads themselves do. Whoever waits for something that
/// no thread of the scenario brings is not among them: the outside world may.
[[nodiscard]] std::vector<Stuck> stuck_threads(const Scene& scene);

/// A cycle among them, each needing the next and the last the first; empty when there is none.
[[nodiscard]] std::vector<ThreadId> cycle_of(const std::vector<Stuck>& stuck);

/// Frames beyond P0 that the thread would give back if it could go on.
[[nodiscard]] std::uint32_t frames_held(const Scene& scene, ThreadId t);

}  // namespace stackrig::oracle
