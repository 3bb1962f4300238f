// Parts of the entry-exit scheme that its files share.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

/// `count` pages from the top of the hands to where the policies want them: pool, reserve, waiters, cache. IRQs off.
void give_back(PerCpu* pc, Thread* t, u32 count);
/// What a hook took and cannot use.
void hands_to_cache(PerCpu* pc, Thread* t);

}  // namespace guest
