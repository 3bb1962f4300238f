// The stack switch between threads, a new thread's first instruction, and calls on the IRQ stack.
#include "calling.h"

    .text

// __switch_to_asm(prev, next): RSP moves first, then __switch_to() makes `next` current, as in Linux.
FUNC __switch_to_asm
    pushq   %rbp
    pushq   %rbx
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    movq    %rsp, THREAD_SAVED_RSP(%rdi)
    movq    THREAD_SAVED_RSP(%rsi), %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbx
    popq    %rbp
    jmp     __switch_to
ENDFUNC __switch_to_asm

// A new thread starts here, its PtRegs just above; a kthread never comes back from ret_from_fork().
FUNC ret_from_fork_asm
    movq    %rsp, %rdi
    call    ret_from_fork
    jmp     swapgs_restore_regs_and_return_to_usermode
ENDFUNC ret_from_fork_asm

// call_on_irqstack(function, argument): the caller's RSP waits in RBX.
FUNC call_on_irqstack
    pushq   %rbx
    movq    %rsp, %rbx
    movq    %rdi, %rax
    movq    %rsi, %rdi
    movq    %gs:PERCPU_IRQ_TOP, %rsp
    call    *%rax
    movq    %rbx, %rsp
    popq    %rbx
    ret
ENDFUNC call_on_irqstack

// load_nofault(address, where): 1 when the word at `address` could be read into *where, 0 when it is not mapped
// (Linux: copy_from_kernel_nofault()). exc_page_fault() knows the one instruction that may fault.
FUNC load_nofault
    .globl  nofault_load, nofault_failed
nofault_load:
    movq    (%rdi), %rax
    movq    %rax, (%rsi)
    movl    $1, %eax
    ret
nofault_failed:
    xorl    %eax, %eax
    ret
ENDFUNC load_nofault

    .section .note.GNU-stack, "", @progbits
