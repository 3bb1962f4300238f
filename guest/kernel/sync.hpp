// Mutexes and event queues, by number, for the system calls.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

inline constexpr u32 object_count = 16;  ///< mutexes 0..15 and event queues 0..15

void mutex_lock(u32 which);
void mutex_unlock(u32 which);
void event_wait(u32 which);
void event_wake(u32 which);
/// As a waker that unlinks the entry when its owner may be gone: a bug that 16 KiB mapped for life forgive most of the time.
void event_wake_late(u32 which);

}  // namespace guest
