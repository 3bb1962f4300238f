// Integer names and the ABI's types as kernel code uses them.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "guest/abi/ports.hpp"
#include "guest/abi/state.hpp"

namespace guest {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;

namespace abi = stackrig::abi;
using abi::Entry;
using abi::Frame;
using abi::FrameStash;
using abi::FrameUse;
using abi::Gfp;
using abi::PerCpu;
using abi::PtRegs;
using abi::Queue;
using abi::StackSource;
using abi::Thread;
using abi::ThreadKind;
using abi::ThreadState;
using abi::WaitKind;

/// A store that the compiler neither drops nor moves across another: for structures the VMM reads at any instruction.
template <class T>
inline void write_once(T& where, T value) {
    *const_cast<volatile T*>(&where) = value;
}

template <class T>
inline T read_once(const T& where) {
    return *const_cast<const volatile T*>(&where);
}

inline bool user_mode(const PtRegs* regs) { return (regs->cs & 3) == 3; }

}  // namespace guest
