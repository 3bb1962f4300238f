// The catalogue of hazards.
#include "vmm/oracle/hazards.hpp"

namespace stackrig::oracle {
namespace {

constexpr std::string_view faults = "Of schemes that grow a stack by page faults. The mail's takes none: a fault on a thread's stack is a violation here (INV-3).";
constexpr std::string_view fred = "Needs FRED, which neither the guest kernel nor the virtual KVM host has.";
constexpr std::string_view accounts = "The guest kernel has no memory control groups and no vmstat. The ledger (INV-4) counts every page.";

constexpr Hazard all[] = {
    {"HZ-A1", "an NMI from user mode runs on the thread's stack and calls neither hook", ""},
    {"HZ-A2", "what runs before ENTER or behind EXIT uses more than 4 KiB", ""},
    {"HZ-A3", "interrupts and softirqs from user mode run on the task stack", ""},
    {"HZ-A3b", "an interrupt in the kernel, in the wait or in the exit loop", ""},
    {"HZ-A4", "an exception between the steps of a hook, with part of the pages mapped", ""},
    {"HZ-A5", "a machine check from user mode calls the hook, and the allocator is locked", ""},
    {"HZ-A6", "#DB, #BP and #PF enable IRQs late, or not at all", ""},
    {"HZ-A7", "#PF on an IST stack is rewound by an NMI that faults", faults},
    {"HZ-A8", "a fault is moved back to a stack that is itself not there", faults},
    {"HZ-A9", "event stack levels are shared", fred},
    {"HZ-A10", "#DF is an abort: returning from it loses events", faults},
    {"HZ-A11", "#VC anywhere", "Needs SEV-ES, which neither the guest kernel nor the virtual KVM host has."},
    {"HZ-A12", "IRET faults behind EXIT", ""},
    {"HZ-A13", "an event in the SYSCALL gap, or on the trampoline stack", ""},
    {"HZ-A14", "an asynchronous page fault sleeps", ""},
    {"HZ-A15", "KSTACK_ERASE runs behind EXIT", ""},
    {"HZ-A16", "EXIT wakes a waiter behind the last check for work", ""},
    {"HZ-B1", "sleepers hold the pages: who fills the cache again?", ""},
    {"HZ-B2", "the wait itself runs on 4 KiB", ""},
    {"HZ-B3", "a thread leaves its CPU with the CPU's reserve", ""},
    {"HZ-B4", "allocation fails where nobody can sleep", ""},
    {"HZ-B5", "refilling where one cannot block", ""},
    {"HZ-B6", "two stacks need pages between two refills",
     "Of schemes that grow two stacks around one context switch; here only the entering thread's stack grows. What a CPU needs at most is "
     "examined as INV-17 and INV-19."},
    {"HZ-B7", "a CPU comes up, or goes down, with its cache or reserve incomplete", ""},
    {"HZ-B8", "migrating threads pump pages from one cache to another", ""},
    {"HZ-B9", "GFP_NOWAIT in an IRQ-off hook on PREEMPT_RT, or failing on a limit",
     "The guest kernel has no sleeping spinlocks and no memory limits. Failing on a limit looks to the hook like failing on memory, which "
     "every `fail ... allocations` shows."},
    {"HZ-B10", "growth inside the page allocator calls the page allocator", faults},
    {"HZ-B11", "who must die to free memory waits for memory", ""},
    {"HZ-B12", "lost wake-ups, stampedes, stranded pages", ""},
    {"HZ-B13", "waiters wait for pages of those who wait for them", ""},
    {"HZ-B14", "an important thread waits behind less important ones", ""},
    {"HZ-B15", "a sleep before the system call has begun", ""},
    {"HZ-C1", "another CPU has a pointer into a stack whose page changes", ""},
    {"HZ-C2", "a thread migrates in the kernel and comes back", ""},
    {"HZ-C3", "flushing only when mapping, only on this CPU", ""},
    {"HZ-C4", "a CPU fills its TLB by speculation", ""},
    {"HZ-C5", "accessed and dirty bits race with the page walker",
     "Of schemes that take back what was not accessed. The mail's never looks at these bits; what speculation may fill is HZ-C4."},
    {"HZ-C6", "a flush that misses: MOV CR3 and global pages (of PCID nothing: the virtual KVM host has none)", ""},
    {"HZ-C6b", "the cost of shootdowns, and CPUs that wait for each other's", ""},
    {"HZ-C7", "a page is published before it is flushed", ""},
    {"HZ-C8", "the shape of PTEs and page tables", ""},
    {"HZ-D1", "the context switch runs near the edge of what is mapped", ""},
    {"HZ-D2", "shrinking the stack one runs on", ""},
    {"HZ-D3", "pages are taken from a thread that already runs elsewhere", ""},
    {"HZ-D4", "preempted at the first instruction with IRQs on", ""},
    {"HZ-D5", "sleeping for pages with a lock held or preemption off", ""},
    {"HZ-D6", "a flags word of the task is changed by its own stack fault", faults},
    {"HZ-D7", "a sleeper wakes up and there are no pages to run it with", ""},
    {"HZ-E1", "the first run of a child has had no ENTER", ""},
    {"HZ-E2", "kernel threads that become user threads, user threads that stay in the kernel", ""},
    {"HZ-E3", "a thread dies with its pages", ""},
    {"HZ-E4", "a reader holds the stack while its pages go", ""},
    {"HZ-E5", "creating threads when memory is short, and many of them", ""},
    {"HZ-E6", "idle and boot stacks", ""},
    {"HZ-E7", "leaving with other registers than one came with", ""},
    {"HZ-E8", "threads that never leave the kernel keep 16 KiB", ""},
    {"HZ-F1", "unwinders and scanners walk over other threads' stacks", ""},
    {"HZ-F2", "the magic word at the end of the stack",
     "The guest kernel has no end-of-stack magic; an overflow is caught by the guard page (HZ-F4). In the scheme P3 changes with every "
     "entry, so the word must be written by each ENTER, or given up."},
    {"HZ-F3", "KASAN's shadow follows the address, contents follow the page", "The guest kernel is not instrumented. INV-25 examines the contents."},
    {"HZ-F4", "an overflow that is reported as something else", ""},
    {"HZ-F5", "somebody touches an object on a stack whose owner has left", ""},
    {"HZ-F6", "a probe inside a hook", ""},
    {"HZ-G1", "whose memory is it?", accounts},
    {"HZ-G2", "old contents of another owner", ""},
    {"HZ-G3", "the cost of an entry and exit", "A cost, no failure. `./rig bench` prints it."},
    {"HZ-G4", "threads that are not running keep all their pages", ""},
    {"HZ-G5", "how much of all memory is at stake", "A question about real machines, which no rig answers."},
};

}  // namespace

std::span<const Hazard> hazards() { return all; }

}  // namespace stackrig::oracle
