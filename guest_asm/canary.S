// Canaries in registers: what a call must preserve, whoever runs meanwhile. The pushes are those of __switch_to_asm, written out in both
// places, for ./rig mutants --generic takes them apart there one by one.
#include "calling.h"

    .text

// call_with_canaries(work, argument, u64 values[6]): work(argument), with the values in the registers that belong to the
// caller (System V ABI 3.2.1); what these hold afterwards goes back to where the values came from.
FUNC call_with_canaries
    pushq   %rbp
    pushq   %rbx
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    pushq   %rdx
    movq    (%rdx), %rbp
    movq    8(%rdx), %rbx
    movq    16(%rdx), %r12
    movq    24(%rdx), %r13
    movq    32(%rdx), %r14
    movq    40(%rdx), %r15
    movq    %rdi, %rax
    movq    %rsi, %rdi
    call    *%rax
    popq    %rdx
    movq    %rbp, (%rdx)
    movq    %rbx, 8(%rdx)
    movq    %r12, 16(%rdx)
    movq    %r13, 24(%rdx)
    movq    %r14, 32(%rdx)
    movq    %r15, 40(%rdx)
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbx
    popq    %rbp
    ret
ENDFUNC call_with_canaries

    .section .note.GNU-stack, "", @progbits
