# A guest whose whole path is known: from 32-bit entry through every instruction that needs care when stepped, and back.
# Straight code between labels; handlers note the RFLAGS they find, so that a trap flag left by the rig is seen.

.set kernel_cs, 0x10
.set user_ss, 0x2b
.set user_cs, 0x33

.macro note_flags offset            # RFLAGS of the frame at \offset(%rsp)
    push %rax
    mov \offset+8(%rsp), %rax
    or %rax, flags_seen
    pop %rax
.endm

.macro gate vector, handler, ist=0, type=0x8e
    mov $\handler, %eax
    movw %ax, idt + 16 * \vector
    movw $kernel_cs, idt + 16 * \vector + 2
    movb $\ist, idt + 16 * \vector + 4
    movb $\type, idt + 16 * \vector + 5
    shr $16, %eax
    movw %ax, idt + 16 * \vector + 6
.endm

.text
.code32
.globl entry
entry:
    mov $kernel_stack_top, %esp
    mov %ebx, boot_params_at
    lgdt gdt_pointer
    mov $pml4, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x60, %eax                  # PAE MCE
    mov %eax, %cr4
    mov $0xc0000080, %ecx           # EFER: NXE LME SCE
    rdmsr
    or $0x901, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80010000, %eax            # PG WP
    mov %eax, %cr0
    ljmp $kernel_cs, $long_mode

.code64
.globl long_mode
long_mode:
    mov $0x18, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $tss, %eax
    mov %ax, tss_descriptor + 2
    shr $16, %eax
    mov %al, tss_descriptor + 4
    mov %ah, tss_descriptor + 7
    mov $0x40, %eax
    ltr %ax
    gate 1, db_handler
    gate 2, nmi_handler, 1
    gate 3, bp_handler, 0, 0xee
    gate 6, plain_handler
    gate 8, df_handler, 2
    gate 13, gp_handler
    gate 14, pf_handler
    gate 18, mc_handler, 3
    gate 0x20, irq_handler
    gate 0x80, int80_handler, 0, 0xee
    lidt idt_pointer
    mov $0xc0000081, %ecx           # STAR
    xor %eax, %eax
    mov $0x00230010, %edx
    wrmsr
    xor %edx, %edx
    mov $0xc0000082, %ecx           # LSTAR
    mov $syscall_entry, %eax
    wrmsr
    mov $0xc0000084, %ecx           # FMASK: TF IF DF
    mov $0x700, %eax
    wrmsr

.globl kernel_part
kernel_part:
    pushfq
    popq %rax
    or %rax, flags_seen
    pushfq
    popfq
.globl kernel_sti
kernel_sti:
    sti
.globl kernel_sti_shadow
kernel_sti_shadow:
    nop
.globl kernel_interruptible
kernel_interruptible:
    nop
    sti                             # opens no shadow: IF is set
.globl kernel_second_sti_behind
kernel_second_sti_behind:
    nop
    cli
    pushfq
    orq $0x200, (%rsp)
    popfq                           # sets IF without a shadow
.globl kernel_behind_popf
kernel_behind_popf:
    nop
    cli
    mov %ss, %eax
.globl kernel_mov_ss
kernel_mov_ss:
    mov %eax, %ss
.globl kernel_mov_ss_shadow
kernel_mov_ss_shadow:
    nop
    mov $buffer, %edi
    mov $5, %ecx
    mov $0x5a, %al
.globl kernel_rep
kernel_rep:
    rep stosb
.globl kernel_int80
kernel_int80:
    int $0x80
.globl kernel_int3
kernel_int3:
    int3
.globl kernel_ud2
kernel_ud2:
    mov $ud2_end, %edx
    ud2
.globl ud2_end
ud2_end:
.globl kernel_out
kernel_out:
    mov $0x41, %al
    out %al, $0x80
.globl kernel_in
kernel_in:
    in $0x81, %al
.globl kernel_behind_in
kernel_behind_in:
    mov %al, answer
    sti
.globl kernel_hlt
kernel_hlt:
    hlt                             # in the shadow of STI
.globl kernel_to_user
kernel_to_user:
    cli
    pushq $user_ss
    pushq $user_stack_top
    pushq $0x202
    pushq $user_cs
    pushq $user_part
    iretq

.globl syscall_entry
syscall_entry:
    mov %rsp, user_rsp
    mov $kernel_stack_top, %esp
    or %r11, flags_seen
    push %rcx
    push %r11
    test %edi, %edi
    jnz the_end
.globl syscall_round_trip
syscall_round_trip:
    sti
    nop
    nop
    cli
    sti
    incl syscalls
    cli
    pop %r11
    pop %rcx
    mov user_rsp, %rsp
    sysretq
.globl syscall_end
syscall_end:

.globl the_end
the_end:
    hlt
    jmp the_end

.globl int80_handler
int80_handler:
    note_flags 16
    incl int80s
    iretq
.globl bp_handler
bp_handler:
    note_flags 16
    incl int3s
    iretq
.globl plain_handler
plain_handler:                      # #UD: resumes where RDX says when it is an UD2 of our own
    note_flags 16
    incl uds
    cmpq $kernel_ud2 + 5, (%rsp)
    jne plain_done
    mov %rdx, (%rsp)
.globl plain_done
plain_done:
    iretq
.globl db_handler
db_handler:                         # notes no flags: here TF is the guest's own
    incl dbs
    andq $~0x100, 16(%rsp)
    iretq
.globl nmi_handler
nmi_handler:
    note_flags 16
    incl nmis
    iretq
.globl irq_handler
irq_handler:
    note_flags 16
    incl irqs
    iretq
.globl mc_handler
mc_handler:
    note_flags 16
    incl mcs
    push %rax
    push %rcx
    push %rdx
    mov $0x17a, %ecx                # MCG_STATUS: MCIP would make the next #MC a shutdown
    xor %eax, %eax
    xor %edx, %edx
    wrmsr
    pop %rdx
    pop %rcx
    pop %rax
    iretq
.globl gp_handler
gp_handler:
    note_flags 24
    incl gps
    popq last_error
    iretq
.globl pf_handler
pf_handler:
    note_flags 24
    incl pfs
    popq last_error
    push %rax
    mov %cr2, %rax
    mov %rax, last_cr2
    pop %rax
    orb $1, demand_entry
    iretq
.globl df_handler
df_handler:
    hlt
    jmp df_handler

.section .user, "awx"
.globl user_part
user_part:
    pushfq
    popq %rax
    or %rax, user_flags_seen
    xor %edi, %edi
.globl user_syscall
user_syscall:
    syscall
.globl user_behind_syscall
user_behind_syscall:
    pushfq
    popq %rax
    or %rax, user_flags_seen
    or %r11, user_flags_seen
.globl user_int80
user_int80:
    int $0x80
.globl user_fault
user_fault:
    mov 0x600000, %al
.globl user_behind_fault
user_behind_fault:
    pushfq
    popfq
    mov $3, %ecx
    mov $user_part, %esi
    mov $user_buffer, %edi
.globl user_rep
user_rep:
    rep movsb
.globl user_behind_rep
user_behind_rep:
    pushfq
    orq $0x100, (%rsp)
    popfq                           # the guest's own trap flag
.globl user_own_trap
user_own_trap:
    nop
.globl user_behind_own_trap
user_behind_own_trap:
    nop
.globl user_exit
user_exit:
    mov $1, %edi
    syscall
.globl user_end
user_end:
    .balign 64
user_flags_seen: .quad 0
user_buffer: .space 16
    .balign 4096
    .space 4096
user_stack_top:

.data
.balign 4096
pml4: .quad pdpt + 7
    .space 4096 - 8
pdpt: .quad directory + 7
    .space 4096 - 8
directory:
    .quad 0x000083                  # kernel
    .quad 0x200083
    .quad 0x400087                  # user
.globl demand_entry
demand_entry:
    .quad 0x600086                  # user, not present until its #PF
    .space 4096 - 32
.globl idt
idt: .space 4096
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff        # 08 kernel code, 32 bits
    .quad 0x00af9b000000ffff        # 10 kernel code
    .quad 0x00cf93000000ffff        # 18 kernel data
    .quad 0x00cffb000000ffff        # 20 user code, 32 bits
    .quad 0x00cff3000000ffff        # 28 user data
    .quad 0x00affb000000ffff        # 30 user code
    .quad 0
tss_descriptor:
    .quad 0x0000890000000067        # 40 TSS, its base is filled in
    .quad 0
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
idt_pointer:
    .word 4095
    .quad idt
.balign 8
tss:
    .long 0
    .quad trap_stack_top, 0, 0      # RSP0
    .quad 0
    .quad nmi_stack_top, df_stack_top, mc_stack_top, 0, 0, 0, 0
    .space 10
    .word 104
.balign 8
.globl flags_seen, answer, boot_params_at, last_error, last_cr2, syscalls, int80s, int3s, uds, dbs, nmis, irqs, mcs, gps, pfs
flags_seen: .quad 0
boot_params_at: .quad 0
user_rsp: .quad 0
last_error: .quad 0
last_cr2: .quad 0
syscalls: .long 0
int80s: .long 0
int3s: .long 0
uds: .long 0
dbs: .long 0
nmis: .long 0
irqs: .long 0
mcs: .long 0
gps: .long 0
pfs: .long 0
answer: .byte 0
.balign 16
buffer: .space 16
.balign 4096
    .space 1024
kernel_stack_top:
    .space 1024
trap_stack_top:
    .space 1024
nmi_stack_top:
    .space 512
df_stack_top:
    .space 1024
mc_stack_top:
    .space 64
