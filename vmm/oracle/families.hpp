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

namespace translations {
std::span<const Invariant> rows();  // checked by Translations
}  // namespace translations

namespace classes {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace classes

namespace liveness {
std::span<const Invariant> rows();
void check(const Scene& scene);
/// Nothing more can happen without an event.
void check_quiet(const Scene& scene);
}  // namespace liveness

namespace deadlock {
std::span<const Invariant> rows();
/// Nothing more can happen without an event.
void check_quiet(const Scene& scene);
/// CPUs wait for each other, for ever.
void check_spinning(const Scene& scene);
}  // namespace deadlock

namespace contexts {
std::span<const Invariant> rows();  // checked by Contexts
}  // namespace contexts

namespace leak {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace leak

namespace belief {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace belief

namespace failure {
std::span<const Invariant> rows();
void check(const Scene& scene);
}  // namespace failure

}  // namespace stackrig::oracle
