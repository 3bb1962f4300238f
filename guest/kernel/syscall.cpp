// System calls: few, but they sleep, hold locks, and go as deep as they are told.
#include "guest/kernel/syscall.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/depth.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/sync.hpp"

namespace guest {
namespace {

constexpr u64 enosys = static_cast<u64>(-38);
constexpr u64 einval = static_cast<u64>(-22);
constexpr u64 deepest = abi::thread_size - 1024;  // leaves room for pt_regs and the frames around

abi::UserPage kthread_programs[abi::max_threads + abi::max_cpus];

void sys_null(u64) {}
void sys_lock(u64 arg) { mutex_lock(static_cast<u32>(arg)); }
void sys_unlock(u64 arg) { mutex_unlock(static_cast<u32>(arg)); }
void sys_wait(u64 arg) { event_wait(static_cast<u32>(arg)); }
void sys_wake(u64 arg) { event_wake(static_cast<u32>(arg)); }
void sys_yield(u64) { schedule(); }
void sys_exit(u64) { do_exit(0); }

constexpr void (*sys_call_table[])(u64) = {sys_null, sys_lock, sys_unlock, sys_wait, sys_wake, sys_yield, sys_exit};
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
    if (number >= static_cast<u64>(abi::Sys::count)) {
        return enosys;
    }
    if (depth > deepest || argument >= object_count) {
        return einval;
    }
    at_depth(static_cast<u32>(depth), sys_call_table[number], argument);
    return 0;
}

abi::UserPage* program_of(const Thread* t) {
    return t->kind == ThreadKind::user ? direct_map<abi::UserPage>(frame_pa(t->user_page_pfn)) : &kthread_programs[t->id];
}

void run_kthread(Thread* t) {
    const abi::UserPage* program = program_of(t);
    for (u32 pc = 0; pc < program->op_count; ++pc) {
        const abi::Op& op = program->ops[pc];
        if (op.kind == abi::OpKind::call) {
            run_syscall(static_cast<u64>(op.number), op.arg, op.depth, Entry::none);
        } else if (op.kind == abi::OpKind::hog) {
            hog(t, op.arg);
        } else if (op.kind == abi::OpKind::release) {
            release(t, op.arg);
        } else if (op.kind == abi::OpKind::jump) {
            pc = op.arg - 1;
        } else {
            return;
        }
    }
}

}  // namespace guest
