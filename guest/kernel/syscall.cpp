// System calls: few, but they sleep, hold locks, and go as deep as they are told.
#include "guest/kernel/syscall.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/depth.hpp"
#include "guest/kernel/entry_common.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/signal.hpp"
#include "guest/kernel/smp.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/sync.hpp"
#include "guest/stack/scheme.hpp"

extern "C" uint32_t load_nofault(uint64_t address, uint64_t* where);

namespace guest {
namespace {

constexpr u64 enosys = static_cast<u64>(-38);
constexpr u64 eintr = static_cast<u64>(-4);
constexpr u64 eagain = static_cast<u64>(-11);
constexpr u64 einval = static_cast<u64>(-22);
constexpr u64 deepest = abi::thread_size - 1024;  // leaves room for pt_regs and the frames around

abi::UserPage kthread_programs[abi::max_threads + abi::max_cpus];

Thread* thread_of(u64 id) { return id < state()->thread_count ? &state()->threads[id] : nullptr; }

void sys_fork(u64 id) {
    Thread* child = thread_of(id);
    const u32 first = state()->cpus;
    if (child == nullptr || id < first || id >= first + boot_params().thread_count || child->state != ThreadState::unused) {
        mark(Mark::fork, id, current()->id, einval);
        return;
    }
    const u32 number = static_cast<u32>(id);
    const bool made = create_thread(number, boot_params().threads[number - first]) != nullptr;
    mark(Mark::fork, id, current()->id, made ? 0 : eagain);
}

void sys_kill(u64 id) {
    if (Thread* t = thread_of(id)) {
        kill_thread(t);
    }
}

void sys_migrate(u64 cpu) {
    if (cpu < state()->cpus && state()->percpu[cpu]->online != 0) {
        migrate_to(static_cast<u32>(cpu));
    }
}

/// An unwinder, a scanner, a dumper: every word of another thread's stack, from its lowest address.
void sys_dump(u64 id) {
    const Thread* t = thread_of(id);
    if (t == nullptr || t->state == ThreadState::unused) {
        return;
    }
    for (u64 at = abi::stack_base(t->slot); at < abi::stack_top(t->slot); at += 8) {
        if (at % abi::page_bytes == 0) {
            mark(Mark::remote_access, id, at);
        }
        u64 word = 0;
        if (policies().readers == abi::Readers::raw) {
            word = *reinterpret_cast<const volatile u64*>(at);
        } else if (load_nofault(at, &word) == 0) {
            at += abi::page_bytes - 8;  // absent: as good as the end of the stack
        }
    }
}

/// As sigreturn with a frame that the program forged: IRET refuses a null SS for user mode.
void sys_bad_iret(u64) {
    PtRegs* regs = task_pt_regs(current());
    program_of(current())->resume = regs->ip;
    regs->ss = 0;
}

void sys_null(u64) {}
void sys_lock(u64 arg) { mutex_lock(static_cast<u32>(arg)); }
void sys_unlock(u64 arg) { mutex_unlock(static_cast<u32>(arg)); }
void sys_wait(u64 arg) { event_wait(static_cast<u32>(arg)); }
void sys_wake(u64 arg) { event_wake(static_cast<u32>(arg)); }
void sys_wake_late(u64 arg) { event_wake_late(static_cast<u32>(arg)); }
void sys_yield(u64) { schedule(); }
void sys_exit(u64) { do_exit(0); }

constexpr void (*sys_call_table[])(u64) = {sys_null, sys_lock, sys_unlock, sys_wait, sys_wake,
                                           sys_yield, sys_exit, sys_fork, sys_kill, sys_migrate, sys_dump, sys_wake_late, sys_bad_iret};
static_assert(sizeof sys_call_table / sizeof sys_call_table[0] == static_cast<u32>(abi::Sys::count));

void hog(Thread* t, u32 pages) {
    for (u32 i = 0; i < pages && t->hogged_count < sizeof t->hogged / sizeof t->hogged[0]; ++i) {
        t->hogged[t->hogged_count] = alloc_page(Gfp::kernel, FrameUse::hogged);
        ++t->hogged_count;
    }
}

void release(Thread* t, u32 pages) {
    for (u32 i = 0; i < pages && t->hogged_count > 0; ++i) {
        --t->hogged_count;
        free_page(t->hogged[t->hogged_count]);
    }
}

}  // namespace

u64 run_syscall(u64 number, u64 argument, u64 depth, Entry entry) {
    mark(Mark::syscall, current()->id, number, static_cast<u64>(entry));
    if (fatal_signal_pending(current())) {
        return eintr;
    }
    if (number >= static_cast<u64>(abi::Sys::count)) {
        return enosys;
    }
    const auto call = static_cast<abi::Sys>(number);
    const bool by_object = call == abi::Sys::lock || call == abi::Sys::unlock || call == abi::Sys::wait || call == abi::Sys::wake ||
                           call == abi::Sys::wake_late;
    if (depth > deepest || (by_object && argument >= object_count)) {
        return einval;
    }
    at_depth(static_cast<u32>(depth), sys_call_table[number], argument);
    return 0;
}

abi::UserPage* program_of(const Thread* t) {
    return t->kind == ThreadKind::user ? direct_map<abi::UserPage>(frame_pa(t->user_page_pfn)) : &kthread_programs[t->id];
}

bool run_kthread(Thread* t) {
    const abi::UserPage* program = program_of(t);
    for (u32 pc = 0; pc < program->op_count; ++pc) {
        const abi::Op& op = program->ops[pc];
        switch (op.kind) {
            case abi::OpKind::call: run_syscall(static_cast<u64>(op.number), op.arg, op.depth, Entry::none); break;
            case abi::OpKind::hog: hog(t, op.arg); break;
            case abi::OpKind::release: release(t, op.arg); break;
            case abi::OpKind::jump: pc = op.arg - 1; break;
            case abi::OpKind::cpu_up: cpu_up(op.arg); break;
            case abi::OpKind::cpu_down: cpu_down(op.arg); break;
            case abi::OpKind::refill: scheme().help(); break;
            case abi::OpKind::exec: become_user(t, pc + 1); return true;
            default: return false;
        }
    }
    return false;
}

}  // namespace guest
