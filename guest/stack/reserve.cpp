// "We can have 3-pages per-cpu reserved": lending, repaying, refilling, by policy.
#include "guest/stack/reserve.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/queue.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/entry_exit.hpp"
#include "guest/stack/pages.hpp"

namespace guest {
namespace {

using abi::Refill;
using abi::Repair;

Queue idle_refillers[abi::max_cpus];

bool is_short(const PerCpu* pc) { return pc->reserve.count < boot_params().reserve_pages; }

}  // namespace

bool take_reserve(PerCpu* pc, Thread* t) {
    while (pc->hands.count < extra) {
        const bool pool = policies().repair == Repair::global_pool;
        if (take_from_reserve(pc, t) || (pool && take_from_pool(pc, t))) {
            continue;
        }
        return false;
    }
    t->source = t->loan == extra ? StackSource::reserve : t->loan == 0 ? StackSource::pool : StackSource::mixed;
    return true;
}

bool belongs_to_reserve(const PerCpu* pc, const Thread* t) {
    switch (policies().refill) {
        case Refill::borrower: return t->loan > 0 && t->loan_cpu == pc->cpu;
        case Refill::any_exit: return is_short(pc);
        case Refill::kthread:
        case Refill::schedule: return false;
    }
    return false;
}

void refill_after_exit(PerCpu* pc) {
    if (policies().refill == Refill::kthread && is_short(pc)) {
        wake_one(idle_refillers[pc->cpu]);
    }
}

void refill_at_schedule(PerCpu* pc) {
    if (policies().refill != Refill::schedule) {
        return;
    }
    const Hook hook(pc);
    while (is_short(pc) && take_from_allocator(pc, pc->current)) {
        top_to_reserve(pc, pc->current);
    }
}

void repair_before_irq_on(PerCpu* pc, Thread* t) {
    const Repair repair = policies().repair;
    if (repair == Repair::repay_before_irq_on && t->loan > 0 && take_ordinary(pc, t, true)) {
        const StackSource ordinary = t->source;
        unmap_extra(pc, t);  // the reserve's pages now lie on top of the ordinary ones
        give_back(pc, t, extra);
        map_extra(pc, t);
        t->source = ordinary;
        return;
    }
    hands_to_cache(pc, t);  // what take_ordinary() got, if it did not get enough
    const bool give = repair == Repair::give_back || repair == Repair::irq_stack || (repair == Repair::repay_before_irq_on && t->loan > 0);
    if (give && has_extra(t)) {
        unmap_extra(pc, t);
        give_back(pc, t, pc->hands.count);
        write_once(t->pend, 1u);
    }
}

u32 refill_kthreads() { return policies().refill == Refill::kthread ? state()->cpus : 0; }

void start_refill_kthreads(u32 first_id) {
    for (u32 cpu = 0; cpu < refill_kthreads(); ++cpu) {
        abi::ThreadSpec spec = {};
        constexpr char name[] = "kstackd";
        for (u32 i = 0; i < sizeof name; ++i) {
            spec.name[i] = name[i];
        }
        spec.kind = ThreadKind::kthread;
        spec.cpu = cpu;
        spec.op_count = 1;
        spec.ops[0].kind = abi::OpKind::refill;
        create_thread(first_id + cpu, spec);
    }
}

void refill_for_ever() {
    const IrqSave irqs;
    for (;;) {
        PerCpu* pc = this_cpu();
        {
            const Hook hook(pc);
            while (is_short(pc) && take_from_cache(pc, pc->current)) {
                top_to_reserve(pc, pc->current);
            }
        }
        {
            const Locked lock(sched_lock);
            block_current(&idle_refillers[pc->cpu], WaitKind::work, 0);
        }
        sleep();
    }
}

}  // namespace guest
