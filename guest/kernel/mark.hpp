// Marks and choice points: all the guest knows of the outside.
#pragma once

#include "guest/abi/ports.hpp"
#include "guest/kernel/types.hpp"

namespace guest {

using abi::Choice;
using abi::Mark;

/// A named point of execution; one OUT, visible to whoever watches, without effect in here.
inline void mark(Mark what, u64 a = 0, u64 b = 0, u64 c = 0) {
    asm volatile("outl %%eax, %4"
                 :
                 : "a"(what), "D"(a), "S"(b), "d"(c), "i"(abi::Port::mark)
                 : "memory");
}

/// Asks for a decision the guest does not take itself.
inline u32 choose(Choice what, u64 a, u64 b) {
    u32 answer;
    asm volatile("inl %1, %%eax" : "=a"(answer) : "i"(abi::Port::choice), "D"(what), "S"(a), "d"(b) : "memory");
    return answer;
}

[[noreturn]] void panic(const char* text);
void warn(const char* text);

}  // namespace guest
