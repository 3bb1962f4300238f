// Running work at a chosen stack depth, between canaries.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

/// Calls work(argument) with at least `bytes` of the current stack in use above it. The bytes hold canaries,
/// written from the top down as real frames would be, and checked afterwards; so do the registers that work() must preserve, and IF.
void at_depth(u32 bytes, void (*work)(u64), u64 argument);
/// The same with no work at the bottom.
void use_stack(u32 bytes);

/// Overwrites what this stay in the kernel has used of the stack below the caller (Linux: stackleak_erase()). IRQs off.
void erase_stack(Thread* t);

}  // namespace guest
