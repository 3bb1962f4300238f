// Birth of threads: kernel stack as the scheme wants it, first frame, address space; and their first steps.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/entry_common.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/queue.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/smp.hpp"
#include "guest/kernel/state.hpp"
#include "guest/kernel/syscall.hpp"
#include "guest/kernel/tlb.hpp"
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

void set_name(Thread* t, const char* name) {
    for (u32 i = 0; i < sizeof t->name - 1 && name[i] != 0; ++i) {
        t->name[i] = name[i];
    }
}

/// Of a thread that never ran. Its creator has IRQs on, as in a system call; the hooks' hands are this CPU's.
void release_stack(Thread* t) {
    const IrqSave irqs;
    scheme().release(t);
}

bool map_stack_page(Thread* t, u32 i) {
    const IrqSave irqs;  // nobody may find a frame that is in no place yet
    const u32 pfn = alloc_thread_page(FrameUse::stack);
    if (pfn != abi::no_pfn) {
        write_once(*stack_pte(t->slot, i), frame_pa(pfn) | stack_pte_flags());
    }
    return pfn != abi::no_pfn;
}

/// The stack's pages as the scheme wants them at birth; false when pages are short, with nothing mapped.
bool map_stack(Thread* t) {
    const u32 pages = scheme().initial_pages(t->kind);
    for (u32 i = 0; i < pages; ++i) {
        if (!map_stack_page(t, i)) {
            release_stack(t);
            t->state = ThreadState::unused;
            return false;
        }
    }
    t->source = pages == abi::stack_pages ? StackSource::birth : StackSource::none;
    return true;
}

Thread* new_thread(u32 id, const char* name, ThreadKind kind, u32 cpu) {
    Thread* t = &state()->threads[id];
    const u64 generation = t->flush_generation;  // of the last owner of this stack
    *t = {};
    t->flush_generation = generation;
    t->id = id;
    t->slot = id;
    t->kind = kind;
    t->cpu = cpu;
    t->last_cpu = cpu;
    t->lowest_rsp = abi::stack_page(t->slot, 0);
    t->cr3 = state()->kernel_cr3;
    set_name(t, name);
    asm volatile("" : : : "memory");
    write_once(t->state, ThreadState::embryo);  // last: who looks finds all of it, or none
    return map_stack(t) ? t : nullptr;
}

void copy_program(Thread* t, const abi::ThreadSpec& spec) {
    t->op_count = spec.op_count;
    abi::UserPage* page = program_of(t);
    *page = {};
    page->op_count = spec.op_count;
    page->thread = t->id;
    for (u32 i = 0; i < spec.op_count; ++i) {
        page->ops[i] = spec.ops[i];
    }
}

bool disables_irqs(const abi::UserPage* page) {
    for (u32 i = 0; i < page->op_count; ++i) {
        if (page->ops[i].kind == abi::OpKind::irqs_off) {
            return true;
        }
    }
    return false;
}

/// What user mode starts with: user_main(UserPage*), as after a CALL.
void start_user_regs(Thread* t, PtRegs* regs) {
    constexpr u64 iopl_3 = 3u << 12;  // CLI in ring 3 (SDM 7.8.1), for programs that use it
    regs->ip = reinterpret_cast<u64>(user_main);
    regs->cs = abi::user_cs;
    regs->flags = rflags_if | 2 | (disables_irqs(program_of(t)) ? iopl_3 : 0);
    regs->sp = abi::user_stack_va + abi::page_bytes - 8;  // 16-byte alignment + 8
    regs->ss = abi::user_ds;
    regs->di = abi::user_data_va;
}

/// First frames on its stack: it starts in ret_from_fork().
void make_runnable_first(Thread* t) {
    PtRegs* regs = zeroed_below<PtRegs>(abi::stack_top(t->slot));
    if (t->kind == ThreadKind::user) {
        start_user_regs(t, regs);
    }
    SwitchFrame* frame = zeroed_below<SwitchFrame>(reinterpret_cast<u64>(regs));
    frame->ip = reinterpret_cast<u64>(ret_from_fork_asm);
    t->saved_rsp = reinterpret_cast<u64>(frame);
    t->state = ThreadState::runnable;
    const IrqSave irqs;
    const Locked lock(sched_lock);
    PerCpu* pc = state()->percpu[online_cpu(t->cpu)];
    t->cpu = pc->cpu;
    enqueue(pc->run_queue, t);
    if (pc != this_cpu()) {
        send_ipi(pc->cpu, abi::reschedule_vector);
    }
}

Thread* abandon(Thread* t) {
    release_stack(t);
    free_mm(t);
    *t = {};
    return nullptr;
}

}  // namespace

Thread* create_thread(u32 id, const abi::ThreadSpec& spec) {
    Thread* t = new_thread(id, spec.name, spec.kind, spec.cpu);
    if (t == nullptr) {
        return nullptr;
    }
    if (t->kind == ThreadKind::user && !create_mm(t)) {
        return abandon(t);
    }
    copy_program(t, spec);
    t->priority = spec.priority;
    await_flush(t);  // nobody may run on this stack who translates it as it was before
    make_runnable_first(t);
    return t;
}

Thread* create_crowd_thread(u32 id, Thread* owner) {
    Thread* t = new_thread(id, owner->name, ThreadKind::user, owner->cpu);
    if (t != nullptr) {
        t->cr3 = owner->cr3;
        t->user_page_pfn = owner->user_page_pfn;
        t->shares_mm = 1;
        make_runnable_first(t);
    }
    return t;
}

Thread* create_idle(u32 cpu) {
    Thread* t = new_thread(cpu, "idle", ThreadKind::idle, cpu);
    t->state = ThreadState::running;
    return t;
}

void become_user(Thread* t, u32 pc) {
    const abi::UserPage* program = program_of(t);
    if (!create_mm(t)) {
        free_mm(t);
        do_exit(0);
    }
    abi::UserPage* page = direct_map<abi::UserPage>(frame_pa(t->user_page_pfn));
    *page = *program;
    page->pc = pc;
    const IrqSave irqs;
    t->kind = ThreadKind::user;
    switch_mm(t->cr3);
    start_user_regs(t, task_pt_regs(t));
    mark(Mark::exec, t->id);
}

}  // namespace guest

/// First C code of a new thread, on its own stack. A user thread leaves to user mode without ever having entered.
extern "C" void ret_from_fork(guest::PtRegs* regs) {
    using namespace guest;
    finish_task_switch();
    local_irq_enable();
    Thread* t = current();
    if (t->kind != ThreadKind::user) {
        if (!run_kthread(t)) {
            do_exit(0);
        }
    } else {
        scheme().born(t);
    }
    syscall_exit_to_user_mode(regs);
}
