// Birth of threads: kernel stack as the scheme wants it, first frame, address space; and their first steps.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/entry_common.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/queue.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/syscall.hpp"
#include "guest/stack/scheme.hpp"

extern "C" {
void ret_from_fork_asm();
[[noreturn]] void user_main(stackrig::abi::UserPage*);
}

namespace guest {

void finish_task_switch();

namespace {

/// What __switch_to_asm pops for a thread that never ran.
struct SwitchFrame {
    u64 r15, r14, r13, r12, bx, bp, ip;
};

template <class T>
T* zeroed_below(u64 top) {
    T* object = reinterpret_cast<T*>(top - sizeof(T));
    *object = {};
    return object;
}

Thread* new_thread(const char* name, ThreadKind kind, u32 cpu) {
    abi::KernelState* ks = state();
    Thread* t = &ks->threads[ks->thread_count];
    *t = {};
    t->id = ks->thread_count;
    t->slot = ks->thread_count;
    t->kind = kind;
    t->cpu = cpu;
    t->cr3 = ks->kernel_cr3;
    for (u32 i = 0; i < sizeof t->name - 1 && name[i] != 0; ++i) {
        t->name[i] = name[i];
    }
    const u32 pages = scheme().initial_pages(kind);
    for (u32 i = 0; i < pages; ++i) {
        *stack_pte(t->slot, i) = frame_pa(alloc_boot_page(FrameUse::stack)) | pte_kernel_data;
    }
    t->source = pages == abi::stack_pages ? StackSource::birth : StackSource::none;
    return t;
}

void load_program(Thread* t, const abi::ThreadSpec& spec) {
    t->op_count = spec.op_count;
    if (t->kind == ThreadKind::user) {
        create_mm(t);
    }
    abi::UserPage* page = program_of(t);
    page->op_count = spec.op_count;
    page->thread = t->id;
    for (u32 i = 0; i < spec.op_count; ++i) {
        page->ops[i] = spec.ops[i];
    }
}

}  // namespace

Thread* create_thread(const abi::ThreadSpec& spec) {
    Thread* t = new_thread(spec.name, spec.kind, spec.cpu);
    load_program(t, spec);
    PtRegs* regs = zeroed_below<PtRegs>(abi::stack_top(t->slot));
    if (t->kind == ThreadKind::user) {
        regs->ip = reinterpret_cast<u64>(user_main);
        regs->cs = abi::user_cs;
        regs->flags = rflags_if | 2;
        regs->sp = abi::user_stack_va + abi::page_bytes - 8;  // as after a CALL: 16-byte alignment + 8
        regs->ss = abi::user_ds;
        regs->di = abi::user_data_va;
    }
    SwitchFrame* frame = zeroed_below<SwitchFrame>(reinterpret_cast<u64>(regs));
    frame->ip = reinterpret_cast<u64>(ret_from_fork_asm);
    t->saved_rsp = reinterpret_cast<u64>(frame);
    t->state = ThreadState::runnable;
    ++state()->thread_count;
    enqueue(state()->percpu[t->cpu]->run_queue, t);
    return t;
}

Thread* create_idle(u32 cpu) {
    Thread* t = new_thread("idle", ThreadKind::idle, cpu);
    t->state = ThreadState::running;
    ++state()->thread_count;
    return t;
}

}  // namespace guest

/// First C code of a new thread, on its own stack. A user thread leaves to user mode without ever having entered.
extern "C" void ret_from_fork(guest::PtRegs* regs) {
    using namespace guest;
    finish_task_switch();
    local_irq_enable();
    Thread* t = current();
    if (t->kind != ThreadKind::user) {
        run_kthread(t);
        do_exit(0);
    }
    syscall_exit_to_user_mode(regs);
}
