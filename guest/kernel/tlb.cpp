// INVLPG, CR3, CR4.PGE, and the function-call IPI.
#include "guest/kernel/tlb.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/smp.hpp"
#include "guest/kernel/spinlock.hpp"
#include "guest/kernel/state.hpp"

namespace guest {
namespace {

constexpr u64 cr4_pge = 1u << 7;

void flushed(abi::FlushKind kind, u64 va) { mark(Mark::flush, static_cast<u64>(kind), va, read_cr3()); }

bool others_online() {
    for (u32 cpu = 0; cpu < state()->cpus; ++cpu) {
        if (cpu != this_cpu()->cpu && state()->percpu[cpu]->online != 0) {
            return true;
        }
    }
    return false;
}

}  // namespace

void flush_tlb_page(u64 va) {
    if (policies().flush_with == abi::FlushWith::invlpg) {
        invlpg(va);
        flushed(abi::FlushKind::page, va);
    } else {
        switch_mm(read_cr3());
    }
}

void flush_tlb_all() {
    const u64 cr4 = read_cr4();
    write_cr4(cr4 & ~cr4_pge);
    write_cr4(cr4);
    flushed(abi::FlushKind::all, 0);
}

void switch_mm(u64 cr3) {
    write_cr3(cr3);
    flushed(abi::FlushKind::cr3, 0);
}

void post_flush(Thread* t) {
    if (!others_online()) {
        return;  // a CPU that comes up starts with an empty TLB
    }
    u64 generation = 1;
    asm volatile("lock xaddq %0, %1" : "+r"(generation), "+m"(state()->flush_generation) : : "memory");
    t->flush_generation = generation + 1;
    mark(Mark::flush_post, t->id, this_cpu()->cpu, generation + 1);
    // A CPU in user mode is left alone: an IPI would make it enter, map, unmap, and post a flush of its own, for ever.
    for (u32 cpu = 0; cpu < state()->cpus; ++cpu) {
        const PerCpu* pc = state()->percpu[cpu];
        if (pc != this_cpu() && pc->online != 0 && pc->in_user == 0) {
            send_ipi(cpu, abi::call_function_vector);
        }
    }
}

void acknowledge_flush() {
    PerCpu* pc = this_cpu();
    if (pc->flush_seen < state()->flush_generation) {
        write_once(pc->flush_asked, state()->flush_generation);
        flush_tlb_all();
        write_once(pc->flush_seen, read_once(pc->flush_asked));
    }
}

void await_flush(const Thread* t) {
    for (u32 cpu = 0; cpu < state()->cpus; ++cpu) {
        const volatile PerCpu* pc = state()->percpu[cpu];
        while (cpu != this_cpu()->cpu && pc->online != 0 && pc->in_user == 0 && pc->flush_seen < t->flush_generation) {
            cpu_relax(abi::Spin::flush, cpu);
        }
    }
}

}  // namespace guest
