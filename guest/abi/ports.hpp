// The wire between guest and VMM: I/O ports, mark ids, choice points. Numbers are part of the ABI.
#pragma once

#include <cstdint>

namespace stackrig::abi {

/// One 32-bit OUT or IN each; arguments travel in registers, so a stop shows them without reading memory.
enum class Port : std::uint16_t {
    mark = 0xe0,       ///< OUT EAX = Mark; RDI, RSI, RDX = arguments
    choice = 0xe1,     ///< IN  EAX = answer; EDI = Choice, RSI, RDX = arguments
    console = 0xe2,    ///< OUT; RDI = address, RSI = length in bytes of a message
    ipi = 0xe3,        ///< OUT EAX = vector; EDI = target CPU; vector 0: start it (INIT, SIPI)
    user_mark = 0xe4,  ///< OUT from ring 3 (the one port the TSS I/O bitmap opens); EAX = UserMark, RDI = op index
};

/// Named points of the kernel's execution. The W-numbers are those of the injection-point list.
/// X(name, number, dotted name used in scenarios, meaning of RDI, RSI, RDX)
#define STACKRIG_MARKS(X)                                                                         \
    X(boot_done, 1, "boot.done", "-, -, -")                                                       \
    X(enter_begin, 2, "enter.begin", "thread, entry, -: W3, before the hook takes a page")        \
    X(enter_take, 3, "enter.take", "thread, StackSource, pfn: a page is in the hook's hands")     \
    X(enter_pte, 4, "enter.pte", "thread, page index, pfn: W4, one PTE written")                  \
    X(enter_done, 5, "enter.done", "thread, entry, pend: W5, the hook is done")                   \
    X(enter_short, 6, "enter.short", "thread, entry, pages missing: no source is left")           \
    X(wait_begin, 7, "wait.begin", "thread, entry, -: W6, IRQs on, about to wait for pages")      \
    X(wait_done, 8, "wait.done", "thread, entry, -: the wait is over, all pages mapped")          \
    X(loop_begin, 9, "loop.begin", "thread, work flags, -: exit work, before IRQs go on")         \
    X(loop_irq_on, 10, "loop.irq_on", "thread, work flags, -: W8, exit work with IRQs on")        \
    X(exit_begin, 11, "exit.begin", "thread, -, -: W9, before the hook clears a PTE")             \
    X(exit_pte, 12, "exit.pte", "thread, page index, pfn: W10, one PTE cleared and flushed")      \
    X(exit_give, 13, "exit.give", "thread, StackSource given to, pfn")                            \
    X(exit_done, 14, "exit.done", "thread, -, -: W11, the hook is done")                          \
    X(irq_on, 15, "irq.on", "thread, entry, -: the entry's local_irq_enable() has run")           \
    X(handler_begin, 16, "handler.begin", "entry, from user, brief: first C code; a brief one has no end")\
    X(handler_end, 17, "handler.end", "entry, from user, -: last C code of a handler with depth") \
    X(sleep, 18, "sleep", "thread, WaitKind, object: about to call schedule() blocked")           \
    X(wake, 19, "wake", "thread, WaitKind, object: made runnable")                                \
    X(switch_to, 20, "switch", "previous thread, next thread, -: just before the stack switch")   \
    X(switched, 21, "switched", "previous thread, this thread, -: on the new stack")              \
    X(thread_exit, 22, "thread.exit", "thread, signal or 0, -: do_exit()")                        \
    X(stack_free, 23, "stack.free", "thread, slot, -: the dead thread's stack is gone")           \
    X(syscall, 24, "syscall", "thread, number, entry: about to run the system call")              \
    X(canary_bad, 25, "canary.bad", "thread, address, found: stack data, a register or IF has changed")\
    X(signal, 26, "signal", "thread, signal, -: delivered in the exit loop")                      \
    X(panic, 27, "panic", "address of text, length, -: the kernel gives up")                      \
    X(idle, 28, "idle", "cpu, -, -: nothing to run, about to HLT")                                \
    X(warn, 29, "warn", "address of text, length, -: the kernel complains and goes on")           \
    X(relax, 30, "relax", "cpu, Spin, object: waits for another CPU; nothing changes until it acts") \
    X(flush, 31, "flush", "FlushKind, address, CR3: this CPU has invalidated translations")       \
    X(flush_post, 32, "flush.post", "thread, first CPU, generation: other CPUs are asked to invalidate") \
    X(remote_access, 33, "remote.access", "thread, address, write: about to touch another thread's stack") \
    X(cpu_online, 34, "cpu.online", "cpu, -, -: takes threads")                                   \
    X(cpu_offline, 35, "cpu.offline", "cpu, -, -: has given all it owned back, will not run again") \
    X(migrate, 36, "migrate", "thread, from CPU, to CPU: its next run is there")                  \
    X(fork, 37, "fork", "child, parent, 0 or the error: the child exists")                        \
    X(exec, 38, "exec", "thread, -, -: a kthread becomes a user thread")                          \
    X(grant, 39, "grant", "thread, pages, -: stack pages were handed to a waiter")                \
    X(shed, 40, "shed", "thread, -, -: a sleeper's extra pages are about to be taken back")       \
    X(kill, 41, "kill", "thread, signal, -: a signal was sent")                                   \
    X(irq_done, 42, "irq.done", "cpu, vector, -: the interrupt was acknowledged")                 \
    X(cpu_up_failed, 43, "cpu.up_failed", "cpu, -, -: no pages for its cache or reserve")         \
    X(shed_done, 44, "shed.done", "thread, -, -: they are back")

enum class Mark : std::uint32_t {
#define X(name, number, text, args) name = number,
    STACKRIG_MARKS(X)
#undef X
};

/// Marks of ring-3 code (Port::user_mark).
enum class UserMark : std::uint32_t {
    op = 1,    ///< about to run operation RDI of the program: a user boundary
    spin = 2,  ///< one round of a spin loop
    done = 3,  ///< the program has ended and is about to call exit
};

/// What a CPU that relaxes waits for.
enum class Spin : std::uint32_t { lock = 1, flush, online };

/// What a flush has invalidated.
enum class FlushKind : std::uint32_t {
    page = 1,  ///< INVLPG: one page, global or not
    cr3,       ///< MOV CR3: everything but global pages
    all,       ///< CR4.PGE toggled: everything
};

/// What the guest does not decide by itself.
enum class Choice : std::uint32_t {
    alloc = 1,      ///< RSI = Gfp, RDX = thread; answer 1: go on, 0: fail as if no page were free
    next = 2,       ///< RSI = default thread id, RDX = cpu; answer: id of the thread to run, if it is ready here
    resched = 3,    ///< RSI = cpu, RDX = current thread; answer 1: this tick sets need_resched
};

/// Allocation modes, as in Linux.
enum class Gfp : std::uint32_t {
    nowait = 0,  ///< GFP_NOWAIT: never sleeps
    kernel = 1,  ///< GFP_KERNEL: may sleep until a page is free
};

/// Interrupt vectors of devices and timer (Linux: LOCAL_TIMER_VECTOR; first external vector + 1).
inline constexpr std::uint8_t timer_vector = 0xec;
inline constexpr std::uint8_t device_vector = 0x21;
inline constexpr std::uint8_t reschedule_vector = 0xfd;
inline constexpr std::uint8_t call_function_vector = 0xfb;

}  // namespace stackrig::abi
