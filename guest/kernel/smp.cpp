// INIT and SIPI are one OUT here; everything else is as in Linux's kernel/cpu.c, much shortened.
#include "guest/kernel/smp.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/spinlock.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {

void send_ipi(u32 cpu, u8 vector) {
    asm volatile("outl %%eax, %1" : : "a"(u32{vector}), "i"(abi::Port::ipi), "D"(cpu) : "memory");
}

void send_ipi_to_others(u8 vector) {
    for (u32 cpu = 0; cpu < state()->cpus; ++cpu) {
        if (cpu != this_cpu()->cpu && state()->percpu[cpu]->online != 0) {
            send_ipi(cpu, vector);
        }
    }
}

u32 online_cpu(u32 cpu) {
    if (state()->percpu[cpu]->online != 0) {
        return cpu;
    }
    u32 found = 0;
    while (state()->percpu[found]->online == 0) {
        ++found;
    }
    return found;
}

void prepare_cpu(u32 cpu) {
    PerCpu* pc = state()->percpu[cpu];
    pc->idle = create_idle(cpu);
    pc->current = pc->idle;
    pc->kernel_top = abi::stack_top(pc->idle->slot);
}

bool cpu_up(u32 cpu) {
    PerCpu* pc = state()->percpu[cpu];
    if (pc->online != 0) {
        return true;
    }
    if (!scheme().fund_cpu(pc) && policies().cpu_up == abi::CpuUp::fail) {
        scheme().drain_cpu(pc);
        mark(Mark::cpu_up_failed, cpu);
        return false;
    }
    write_once(pc->going_down, 0u);
    pc->current = pc->idle;
    pc->idle->state = ThreadState::running;
    pc->preempt_count = 0;
    pc->irq_nesting = 0;
    send_ipi(cpu, 0);
    while (static_cast<volatile PerCpu*>(pc)->online == 0) {
        cpu_relax(abi::Spin::online, cpu);
    }
    return true;
}

void cpu_down(u32 cpu) {
    PerCpu* pc = state()->percpu[cpu];
    if (pc->online == 0 || pc == this_cpu()) {
        return;
    }
    write_once(pc->going_down, 1u);
    send_ipi(cpu, abi::reschedule_vector);
    while (static_cast<volatile PerCpu*>(pc)->online != 0) {
        cpu_relax(abi::Spin::online, cpu);
    }
}

[[noreturn]] void play_dead() {
    PerCpu* pc = this_cpu();
    scheme().drain_cpu(pc);
    write_once(pc->online, 0u);
    evacuate(pc);
    mark(Mark::cpu_offline, pc->cpu);
    for (;;) {
        asm volatile("cli; hlt");
    }
}

}  // namespace guest

/// First C code of a CPU that was started, on its idle thread's stack.
extern "C" [[noreturn]] void secondary_main(uint64_t cpu) {
    using namespace guest;
    cpu_init(static_cast<u32>(cpu));
    PerCpu* pc = this_cpu();
    write_once(pc->flush_asked, state()->flush_generation);
    write_once(pc->flush_seen, read_once(pc->flush_asked));  // it starts with an empty TLB
    write_once(pc->online, 1u);
    mark(Mark::cpu_online, cpu);
    cpu_idle();
}
