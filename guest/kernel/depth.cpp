// Stack use on demand: what a deep call chain, a softirq, or an NMI backtrace would need.
#include "guest/kernel/depth.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/state.hpp"

extern "C" void call_with_canaries(void (*work)(uint64_t), uint64_t argument, uint64_t values[6]);

namespace guest {
namespace {

constexpr u32 stride = 8;  // one canary per 64 bytes: every page is touched, cheaply

u64 canary(const volatile u64* where) { return reinterpret_cast<u64>(where) * 0x9e3779b97f4a7c15; }

void plant(volatile u64* where) { *where = canary(where); }

void check(const volatile u64* where) {
    if (*where != canary(where)) {
        mark(Mark::canary_bad, current()->id, reinterpret_cast<u64>(where), *where);
    }
}

/// work(argument), which may sleep: the registers that it owes its caller hold canaries meanwhile. The last canary stands for IF.
void call(void (*work)(u64), u64 argument) {
    constexpr u32 preserved = 6;
    u64 canaries[preserved + 1];
    for (u64& one : canaries) {
        plant(&one);
    }
    const bool disabled = irqs_disabled();
    call_with_canaries(work, argument, canaries);
    canaries[preserved] ^= irqs_disabled() != disabled ? rflags_if : 0;
    for (const u64& one : canaries) {
        check(&one);
    }
}

void nothing(u64) {}

/// Where a compiler plugin would record it (Linux: stackleak_track_stack()): only on the thread's own stack.
void note_depth(u64 rsp) {
    Thread* t = current();
    if (rsp >= abi::stack_base(t->slot) && rsp < t->lowest_rsp) {
        t->lowest_rsp = rsp;
    }
}

}  // namespace

[[gnu::noinline]] void at_depth(u32 bytes, void (*work)(u64), u64 argument) {
    if (bytes == 0) {
        work(argument);
        return;
    }
    const u32 words = bytes / 8;
    volatile u64* area = static_cast<volatile u64*>(__builtin_alloca(bytes));
    note_depth(reinterpret_cast<u64>(area));
    for (u32 i = words; i >= stride; i -= stride) {
        plant(&area[i - 1]);
    }
    call(work, argument);
    for (u32 i = words; i >= stride; i -= stride) {
        check(&area[i - 1]);
    }
}

[[gnu::noinline]] void erase_stack(Thread* t) {
    constexpr u64 poison = 0xffffffffffff4111;  // Linux: STACKLEAK_POISON
    const u64 here = reinterpret_cast<u64>(__builtin_frame_address(0)) - 256;
    // What was given back in the exit loop is gone already.
    const bool full = policies().erase == abi::Erase::after_exit || (lookup_pte(t->cr3, abi::stack_page(t->slot, 1)) & pte_present) != 0;
    const u64 top_page = abi::stack_page(t->slot, 0);
    const u64 from = full || t->lowest_rsp > top_page ? t->lowest_rsp : top_page;
    u64 at = from;
    u64 count = from < here ? (here - from) / 8 : 0;
    asm volatile("rep stosq" : "+D"(at), "+c"(count) : "a"(poison) : "memory");
}

void use_stack(u32 bytes) { at_depth(bytes, nothing, 0); }

}  // namespace guest
