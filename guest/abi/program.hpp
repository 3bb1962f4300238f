// What a scenario's threads do: a short list of operations, run in ring 3 by user threads, in ring 0 by kthreads.
#pragma once

#include <cstdint>

namespace stackrig::abi {

/// Operations. User threads may run all but the ones marked kthread; kthreads only `call` and those.
enum class OpKind : std::uint32_t {
    end = 0,   ///< the thread exits
    spin,      ///< for ever: user_mark(spin)
    call,      ///< system call `number` with `arg`, through `via`, at `depth` bytes of stack in the kernel
    touch,     ///< read one byte of the demand area that is not mapped: #PF
    int3,      ///< INT3: #BP
    step,      ///< one instruction with TF set: #DB
    ud2,       ///< UD2: #UD
    gp,        ///< HLT in ring 3: #GP
    de,        ///< DIV by zero: #DE
    hog,       ///< kthread: take `arg` frames with GFP_KERNEL and keep them
    release,   ///< kthread: give `arg` of those frames back
    jump,      ///< go on at operation `arg` (loops)
    exec,      ///< kthread: become a user thread and run the rest in user mode (kernel_execve())
    cpu_up,    ///< kthread: bring CPU `arg` up
    cpu_down,  ///< kthread: take CPU `arg` down
    touch_kernel,  ///< read a kernel address: #PF from user mode, do_kern_addr_fault()
    refill,    ///< the kernel's own kthread: keep the reserve of its CPU full
    irqs_off,  ///< CLI by ring 3 (IOPL 3): the interrupted context of what follows has IF=0
};

/// The entry a `call` uses. kthreads ignore it: they call the function.
enum class Via : std::uint32_t { syscall64 = 0, syscall32, int80 };

/// System call numbers.
enum class Sys : std::uint32_t {
    null = 0,  ///< returns at once
    lock,      ///< mutex_lock(arg)
    unlock,    ///< mutex_unlock(arg)
    wait,      ///< sleep on event queue arg until somebody wakes it
    wake,      ///< wake every sleeper of event queue arg
    yield,     ///< schedule()
    exit,      ///< do_exit()
    fork,      ///< create thread `arg` (guest thread id), whose first run starts in ret_from_fork()
    kill,      ///< SIGKILL to thread `arg`
    migrate,   ///< go on on CPU `arg`, from the middle of the system call
    dump,      ///< read every word of thread `arg`'s kernel stack
    wake_late,  ///< wake the one sleeper of event queue arg, and touch its entry afterwards: a bug
    bad_iret,   ///< return with an SS that IRET refuses
    count
};

struct Op {
    OpKind kind;
    Sys number;
    Via via;
    std::uint32_t arg;
    std::uint32_t depth;  ///< bytes of kernel stack used, with canaries, around the system call's work
    std::uint32_t reserved;
};
static_assert(sizeof(Op) == 24);

inline constexpr unsigned max_ops = 64;

/// The thread's own page in user memory (user_data_va): its program and what an injected stub needs.
struct UserPage {
    std::uint32_t op_count;
    std::uint32_t pc;         ///< index of the next operation
    std::uint32_t touches;    ///< how many touch operations ran: picks the next demand page
    std::uint32_t thread;
    std::uint64_t resume;       ///< where the thread goes on after a fatal signal; 0: it dies
    std::uint64_t stub_arg[3];  ///< injected call: system call number, arg, depth
    Op ops[max_ops];
};

}  // namespace stackrig::abi
