// From the VMM's hand-over (32-bit protected mode, paging off, EBX = boot parameters, which lie at a fixed address anyway, ESI = CPU
// number) to 64-bit C++.
#include "offsets.h"

#define CR0_PE 0x1
#define CR0_MP 0x2
#define CR0_NE 0x20
#define CR0_WP 0x10000
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define CR4_MCE 0x40
#define CR4_PGE 0x80
#define MSR_EFER 0xc0000080
#define EFER_SCE 0x1
#define EFER_LME 0x100
#define EFER_NXE 0x800

#define PTE_TABLE 0x63          /* P, RW, A, D */
#define PTE_LARGE 0xe3          /* P, RW, A, D, PS */

    .section .boot.text, "ax"
    .code32
    .globl _start
_start:
    cli
    cld
    movl    $boot_pml4, %eax
    movl    %eax, %cr3
    movl    %cr4, %eax
    orl     $(CR4_PAE | CR4_PGE | CR4_MCE), %eax
    movl    %eax, %cr4
    movl    $MSR_EFER, %ecx
    rdmsr
    orl     $(EFER_SCE | EFER_LME | EFER_NXE), %eax
    wrmsr
    movl    $(CR0_PE | CR0_MP | CR0_NE | CR0_WP | CR0_PG), %eax
    movl    %eax, %cr0
    lgdt    boot_gdtr
    ljmpl   $KERNEL_CS, $1f
    .code64
1:  movl    $KERNEL_DS, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
    movq    $start_high, %rax           /* leave the identity map for the kernel's own addresses */
    jmp     *%rax

    .section .boot.data, "aw"
    .balign 8
boot_gdt:
    .quad   0, 0
    .quad   0x00af9b000000ffff          /* KERNEL_CS */
    .quad   0x00cf93000000ffff          /* KERNEL_DS */
boot_gdtr:
    .word   . - boot_gdt - 1
    .long   boot_gdt
    .long   0

    // The first GiB: identity, direct map, and kernel image, all through one page directory.
    .balign 4096
boot_pml4:
    .quad   boot_pdpt + PTE_TABLE
    .fill   272, 8, 0
    .quad   boot_pdpt + PTE_TABLE       /* 273: direct_map_base */
    .fill   237, 8, 0
    .quad   boot_pdpt_high + PTE_TABLE  /* 511 */
boot_pdpt:
    .quad   boot_pd + PTE_TABLE
    .fill   511, 8, 0
boot_pdpt_high:
    .fill   510, 8, 0
    .quad   boot_pd + PTE_TABLE         /* 510: kernel_map_base */
    .quad   0
boot_pd:
    .set    pa, 0
    .rept   512
    .quad   pa + PTE_LARGE
    .set    pa, pa + 0x200000
    .endr

    .text
start_high:
    testl   %esi, %esi
    jnz     start_secondary
    movq    $boot_stack_top, %rsp
    xorl    %ebp, %ebp
    call    kernel_main
    ud2                                 /* kernel_main() does not return */

start_secondary:                        /* its stack is that of its idle thread, mapped only by the kernel's tables */
    movq    kernel_state + STATE_KERNEL_CR3, %rax
    movq    %rax, %cr3
    movq    kernel_state + STATE_PERCPU(, %rsi, 8), %rax
    movq    PERCPU_KERNEL_TOP(%rax), %rsp
    subq    $8, %rsp
    xorl    %ebp, %ebp
    movl    %esi, %edi
    jmp     secondary_main

    .bss
    .balign 16
    .fill   8192
boot_stack_top:

    // The VMM refuses a guest whose note is missing or of another version.
    .section .note.stackrig, "a", @note
    .balign 4
    .long   9, 8, 1                     /* name size, descriptor size, type */
    .asciz  "stackrig"
    .balign 4
    .long   ABI_VERSION, ABI_LAYOUT

    .section .note.GNU-stack, "", @progbits
