// The worker's answers to requests that explore: parts of a sweep, replays, shrinking.
#pragma once

#include <memory>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/explore/sweep.hpp"
#include "vmm/host/stream.hpp"

namespace stackrig::host {

/// Keeps the trunk of the sweep that was asked for last, so that its parts walk it once.
class ExploreRequests {
  public:
    /// Does the worker answer such a request here?
    [[nodiscard]] static bool knows(const std::string& what);
    /// `bench` must outlive this object; `key` tells scenarios apart.
    [[nodiscard]] Result<Json> answer(const Json& request, const explore::Bench& bench, scenario::Scenario scenario);

  private:
    Result<Json> sweep(const Json& request, const explore::Bench& bench, scenario::Scenario scenario);
    static Result<Json> replay(const Json& request, const explore::Bench& bench, const scenario::Scenario& scenario);
    static Result<Json> shrink(const explore::Bench& bench, const scenario::Scenario& scenario);

    std::string key_;
    std::unique_ptr<scenario::Scenario> scenario_;  // outlives sweep_, which refers to it
    std::unique_ptr<explore::Sweep> sweep_;
};

/// What to sweep, as the front end words it: {"events": ["nmi", "alloc"], "at": ["do_syscall_64"], "user": true}.
[[nodiscard]] Json to_json(const engine::SweepPlan& plan);
[[nodiscard]] engine::SweepPlan sweep_plan_from(const Json& json);

}  // namespace stackrig::host
