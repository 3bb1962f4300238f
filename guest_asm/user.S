// Ring-3 code that C++ cannot express: compatibility-mode system calls, faulting instructions, and the stubs into
// which the VMM steers a thread (it pushes the interrupted RIP and jumps to user_inject_*; all registers come back).
#include "calling.h"

    .section .user.text, "ax"
    .code64

// user_call32(number, arg, depth): SYSCALL from compatibility mode, far jumps there and back.
FUNC user_call32
    pushq   %rbx
    movl    %edi, %eax
    movl    %esi, %edi
    movl    %edx, %esi
    ljmp    *user_to_compat(%rip)
    .code32
user_compat:
    .globl  user_call32_insn
user_call32_insn:
    syscall                             /* ECX and R11 are lost */
    ljmpl   $USER_CS, $user_from_compat
    .code64
user_from_compat:
    popq    %rbx
    ret
    .balign 8
user_to_compat:
    .long   user_compat
    .word   USER32_CS
ENDFUNC user_call32

// Where the VMM expects a stub to enter the kernel.
.macro INSN_LABEL name
    .globl  \name\()_insn
\name\()_insn:
.endm

// Run one faulting instruction; the kernel's signal goes on at `resume`.
.macro FAULTING name insn:vararg
FUNC \name
    leaq    1f(%rip), %rax
    movq    %rax, USER_DATA_VA + USER_PAGE_RESUME
    INSN_LABEL \name
    \insn
1:  ret
ENDFUNC \name
.endm
    FAULTING user_ud2, ud2
    FAULTING user_gp, hlt
    FAULTING user_de, divl USER_DATA_VA + USER_PAGE_STUB_ARG + 20 /* zero: the upper half of a small depth */
    FAULTING user_int3, int3
    FAULTING user_touch_kernel, movb kernel_state, %al

// TF takes effect after the instruction that follows POPF; the kernel clears it in the #DB frame.
FUNC user_step
    pushfq
    orl     $0x100, (%rsp)
    popfq
    INSN_LABEL user_step
    nop
    ret
ENDFUNC user_step

FUNC user_touch
    movl    USER_DATA_VA + USER_PAGE_TOUCHES, %eax
    incl    USER_DATA_VA + USER_PAGE_TOUCHES
    andl    $511, %eax
    shll    $12, %eax
    INSN_LABEL user_touch
    movb    USER_DEMAND_VA(%rax), %al
    ret
ENDFUNC user_touch

.macro INJECT name call:vararg
FUNC user_inject_\name
    pushfq
    pushq   %rax
    pushq   %rcx
    pushq   %rdx
    pushq   %rsi
    pushq   %rdi
    pushq   %r11
    movq    USER_DATA_VA + USER_PAGE_STUB_ARG, %rax
    movq    USER_DATA_VA + USER_PAGE_STUB_ARG + 8, %rdi
    movq    USER_DATA_VA + USER_PAGE_STUB_ARG + 16, %rsi
    INSN_LABEL user_inject_\name
    \call
    popq    %r11
    popq    %rdi
    popq    %rsi
    popq    %rdx
    popq    %rcx
    popq    %rax
    popfq
    ret
ENDFUNC user_inject_\name
.endm
.macro call_compat
    movl    %esi, %edx
    movl    %edi, %esi
    movl    %eax, %edi
    call    user_call32
.endm
    INJECT syscall64, syscall
    INJECT int80, int $0x80
    INJECT syscall32, call_compat
    INJECT ud, call user_ud2
    INJECT gp, call user_gp
    INJECT bp, call user_int3
    INJECT db, call user_step
    INJECT pf, call user_touch

    .section .note.GNU-stack, "", @progbits
