// Saving and restoring struct PtRegs, as Linux's arch/x86/entry/calling.h names it.
#pragma once
#include "offsets.h"

// On entry the stack holds the hardware frame and orig_ax; afterwards all of PtRegs, and no user value stays in
// a general register that the C code could use by accident. \rax: what regs->ax shows.
.macro PUSH_REGS rax=%rax
    pushq   %rdi
    pushq   %rsi
    pushq   %rdx
    pushq   %rcx
    pushq   \rax
    pushq   %r8
    pushq   %r9
    pushq   %r10
    pushq   %r11
    pushq   %rbx
    pushq   %rbp
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    xorl    %ebp, %ebp
    cld
.endm

.macro POP_REGS_EXCEPT_RDI
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    popq    %r11
    popq    %r10
    popq    %r9
    popq    %r8
    popq    %rax
    popq    %rcx
    popq    %rdx
    popq    %rsi
.endm

.macro FUNC name
    .globl  \name
    .type   \name, @function
\name:
.endm
.macro ENDFUNC name
    .size   \name, . - \name
.endm
