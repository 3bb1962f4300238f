// The families of invariants: each has its rows of the catalogue and one function that checks them at a stop.
#pragma once

#include <span>

#include "vmm/oracle/catalogue.hpp"
#include "vmm/oracle/scene.hpp"

namespace stackrig::oracle {

namespace mapping {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace mapping

namespace ledger {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace ledger

namespace sources {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace sources

namespace hooks {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace hooks

namespace windows {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace windows

namespace waiting {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace waiting

namespace reserve {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace reserve

namespace belief {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace belief

namespace failure {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace failure

}  // namespace stackrig::oracle
