// System call entries, exception and interrupt stubs, and the ways back to user mode and to the kernel.
#include "calling.h"

#define MSR_GS_BASE 0xc0000101
#define X86_EFLAGS_TF 0x100
#define X86_EFLAGS_RF 0x10000

    .text

// SYSCALL from 64-bit code: RCX = user RIP, R11 = user RFLAGS, IF cleared by FMASK, still on the user's stack.
FUNC entry_SYSCALL_64
    swapgs
    movq    %rsp, %gs:PERCPU_USER_RSP
    movq    %gs:PERCPU_KERNEL_TOP, %rsp
    pushq   $USER_DS
    pushq   %gs:PERCPU_USER_RSP
    pushq   %r11
    pushq   $USER_CS
    pushq   %rcx
    pushq   %rax
    PUSH_REGS rax=$-38                  /* -ENOSYS until the call has run */
    movq    %rsp, %rdi
    movq    REGS_ORIG_AX(%rsp), %rsi
    call    do_syscall_64

    // SYSRET only if it restores exactly what IRET would (Linux: syscall_return_via_sysret).
    movq    REGS_CX(%rsp), %rcx
    movq    REGS_IP(%rsp), %r11
    cmpq    %rcx, %r11
    jne     swapgs_restore_regs_and_return_to_usermode
    shrq    $47, %rcx                   /* a non-canonical RIP would fault in ring 0 on Intel */
    jnz     swapgs_restore_regs_and_return_to_usermode
    cmpq    $USER_CS, REGS_CS(%rsp)
    jne     swapgs_restore_regs_and_return_to_usermode
    movq    REGS_R11(%rsp), %r11
    cmpq    %r11, REGS_FLAGS(%rsp)
    jne     swapgs_restore_regs_and_return_to_usermode
    testq   $(X86_EFLAGS_RF | X86_EFLAGS_TF), %r11
    jnz     swapgs_restore_regs_and_return_to_usermode
    cmpq    $USER_DS, REGS_SS(%rsp)
    jne     swapgs_restore_regs_and_return_to_usermode
syscall_return_via_sysret:
    POP_REGS_EXCEPT_RDI
    movq    %rsp, %rdi                  /* leave the task stack before the last instructions */
    movq    %gs:PERCPU_TSS_RSP0, %rsp
    pushq   (REGS_SP - REGS_DI)(%rdi)
    pushq   (%rdi)
    popq    %rdi
    popq    %rsp
    swapgs
    sysretq
ENDFUNC entry_SYSCALL_64

// SYSCALL from compatibility mode (CSTAR; AMD only, Intel raises #UD): returns by IRET, as Linux may always do.
FUNC entry_SYSCALL_compat
    swapgs
    movq    %rsp, %gs:PERCPU_USER_RSP
    movq    %gs:PERCPU_KERNEL_TOP, %rsp
    pushq   $USER_DS
    pushq   %gs:PERCPU_USER_RSP
    pushq   %r11
    pushq   $USER32_CS
    pushq   %rcx
    movl    %eax, %eax
    pushq   %rax
    PUSH_REGS rax=$-38
    movq    %rsp, %rdi
    movq    REGS_ORIG_AX(%rsp), %rsi
    call    do_fast_syscall_32
    jmp     swapgs_restore_regs_and_return_to_usermode
ENDFUNC entry_SYSCALL_compat

// Back to user mode by IRET from the entry trampoline stack; RSP points at PtRegs on the task stack.
FUNC swapgs_restore_regs_and_return_to_usermode
    POP_REGS_EXCEPT_RDI
    movq    %rsp, %rdi
    movq    %gs:PERCPU_TSS_RSP0, %rsp
    pushq   (REGS_SS - REGS_DI)(%rdi)
    pushq   (REGS_SP - REGS_DI)(%rdi)
    pushq   (REGS_FLAGS - REGS_DI)(%rdi)
    pushq   (REGS_CS - REGS_DI)(%rdi)
    pushq   (REGS_IP - REGS_DI)(%rdi)
    pushq   (%rdi)
    popq    %rdi
    swapgs
    .globl  native_irq_return_iret
native_irq_return_iret:
    iretq
ENDFUNC swapgs_restore_regs_and_return_to_usermode

// An IRET to user mode that faulted: the exception's frame lies on the entry trampoline stack, below the frame that IRET refused.
// It goes on as if the exception had come from user mode (Linux: error_entry, fixup_bad_iret()). 
.macro FIXUP_BAD_IRET
    cmpq    $native_irq_return_iret, (REGS_IP - REGS_ORIG_AX)(%rsp)
    jne     3f
    swapgs
    PUSH_REGS
    movq    %rsp, %rdi
    call    fixup_bad_iret
    jmp     2b
3:
.endm

FUNC restore_regs_and_return_to_kernel
    POP_REGS_EXCEPT_RDI
    popq    %rdi
    addq    $8, %rsp                    /* orig_ax */
    iretq
ENDFUNC restore_regs_and_return_to_kernel

// An exception or interrupt on no IST stack: from user mode the CPU has switched to the entry trampoline stack,
// from where sync_regs() moves the frame to the task stack.
.macro idtentry name cfunc has_error=0 bad_iret=0
FUNC \name
    .if \has_error == 0
    pushq   $-1
    .endif
    testb   $3, (REGS_CS - REGS_ORIG_AX)(%rsp)
    jz      1f
    swapgs
    PUSH_REGS
    movq    %rsp, %rdi
    call    sync_regs
2:  movq    %rax, %rsp
    movq    %rsp, %rdi
    movq    REGS_ORIG_AX(%rsp), %rsi
    movq    $-1, REGS_ORIG_AX(%rsp)
    call    \cfunc
    jmp     swapgs_restore_regs_and_return_to_usermode
1:
    .if \bad_iret
    FIXUP_BAD_IRET
    .endif
    PUSH_REGS
    movq    %rsp, %rdi
    movq    REGS_ORIG_AX(%rsp), %rsi
    movq    $-1, REGS_ORIG_AX(%rsp)
    call    \cfunc
    jmp     restore_regs_and_return_to_kernel
ENDFUNC \name
.endm

// An exception on an IST stack. From user mode it goes on on the task stack like any other entry (Linux:
// idtentry_mce_db, and asm_exc_nmi since 9b6e6a8334d5); from the kernel it stays, and asks MSR_GS_BASE whose GS it found.
// \stay: a word that is not zero when it shall stay on its IST stack from user mode too.
.macro idtentry_ist name cfunc_user cfunc_kernel stay
FUNC \name
    testb   $3, 8(%rsp)
    jz      1f
    .ifnb \stay
    cmpl    $0, \stay
    jne     1f
    .endif
    swapgs
    pushq   %rax
    movq    %rsp, %rax                  /* (rax): user RAX, then RIP CS RFLAGS RSP SS */
    movq    %gs:PERCPU_KERNEL_TOP, %rsp
    pushq   40(%rax)
    pushq   32(%rax)
    pushq   24(%rax)
    pushq   16(%rax)
    pushq   8(%rax)
    pushq   $-1
    movq    (%rax), %rax
    PUSH_REGS
    movq    %rsp, %rdi
    movq    $-1, %rsi
    call    \cfunc_user
    jmp     swapgs_restore_regs_and_return_to_usermode
1:  pushq   $-1
    jmp     paranoid_\cfunc_kernel
ENDFUNC \name
FUNC paranoid_\cfunc_kernel
    PUSH_REGS
    movl    $MSR_GS_BASE, %ecx
    rdmsr
    xorl    %ebx, %ebx
    testl   %edx, %edx
    js      1f                          /* negative: already the kernel's */
    swapgs
    movl    $1, %ebx
1:  movq    %rsp, %rdi
    movq    REGS_ORIG_AX(%rsp), %rsi
    call    \cfunc_kernel
    testl   %ebx, %ebx
    jz      1f
    swapgs
1:  jmp     restore_regs_and_return_to_kernel
ENDFUNC paranoid_\cfunc_kernel
.endm

    idtentry asm_exc_divide_error exc_divide_error
    idtentry asm_exc_int3 exc_int3
    idtentry asm_exc_invalid_op exc_invalid_op
    idtentry asm_exc_general_protection exc_general_protection has_error=1 bad_iret=1
    idtentry asm_exc_segment_not_present exc_segment_not_present has_error=1 bad_iret=1
    idtentry asm_exc_stack_segment exc_stack_segment has_error=1 bad_iret=1
    idtentry asm_exc_invalid_tss exc_invalid_tss has_error=1
    idtentry asm_exc_alignment_check exc_alignment_check has_error=1
    idtentry asm_exc_overflow exc_overflow
    idtentry asm_exc_bounds exc_bounds
    idtentry asm_exc_device_not_available exc_device_not_available
    idtentry asm_exc_coprocessor_error exc_coprocessor_error
    idtentry asm_exc_simd_coprocessor_error exc_simd_coprocessor_error
    idtentry asm_exc_page_fault exc_page_fault has_error=1
    idtentry asm_int80_emulation do_int80_emulation
    idtentry asm_common_interrupt common_interrupt
    idtentry asm_sysvec_apic_timer_interrupt sysvec_apic_timer_interrupt
    idtentry asm_sysvec_reschedule_ipi sysvec_reschedule_ipi
    idtentry asm_sysvec_call_function sysvec_call_function
    idtentry asm_exc_unexpected exc_unexpected
    idtentry asm_exc_unexpected_error exc_unexpected has_error=1
    idtentry_ist asm_exc_debug exc_debug_user exc_debug_kernel
    idtentry_ist asm_exc_nmi exc_nmi exc_nmi nmi_stays_on_ist
    idtentry_ist asm_exc_machine_check exc_machine_check_user exc_machine_check_kernel

// #DF is always an IST entry and never returns; the CPU pushes an error code of 0.
FUNC asm_exc_double_fault
    jmp     paranoid_exc_double_fault
FUNC paranoid_exc_double_fault
    PUSH_REGS
    movl    $MSR_GS_BASE, %ecx
    rdmsr
    testl   %edx, %edx
    js      1f
    swapgs
1:  movq    %rsp, %rdi
    movq    REGS_ORIG_AX(%rsp), %rsi
    call    exc_double_fault
    ud2
ENDFUNC asm_exc_double_fault

    .section .note.GNU-stack, "", @progbits
