// Field offsets and constants for assembly, generated from the C++ structs: never typed twice.
#include "guest/abi/layout.hpp"
#include "guest/abi/ports.hpp"
#include "guest/abi/state.hpp"

#define DEFINE(name, value) asm volatile("->" #name " %0" : : "i"(static_cast<long>(value)))

using namespace stackrig::abi;

void offsets() {
    DEFINE(PERCPU_USER_RSP, offsetof(PerCpu, user_rsp));
    DEFINE(PERCPU_KERNEL_TOP, offsetof(PerCpu, kernel_top));
    DEFINE(PERCPU_IRQ_TOP, offsetof(PerCpu, irq_top));
    DEFINE(PERCPU_TSS_RSP0, offsetof(PerCpu, tss) + offsetof(Tss, rsp));
    DEFINE(STATE_KERNEL_CR3, offsetof(KernelState, kernel_cr3));
    DEFINE(STATE_PERCPU, offsetof(KernelState, percpu));
    DEFINE(THREAD_SAVED_RSP, offsetof(Thread, saved_rsp));
    DEFINE(REGS_SIZE, sizeof(PtRegs));
    DEFINE(REGS_R11, offsetof(PtRegs, r11));
    DEFINE(REGS_CX, offsetof(PtRegs, cx));
    DEFINE(REGS_DI, offsetof(PtRegs, di));
    DEFINE(REGS_ORIG_AX, offsetof(PtRegs, orig_ax));
    DEFINE(REGS_IP, offsetof(PtRegs, ip));
    DEFINE(REGS_CS, offsetof(PtRegs, cs));
    DEFINE(REGS_FLAGS, offsetof(PtRegs, flags));
    DEFINE(REGS_SP, offsetof(PtRegs, sp));
    DEFINE(REGS_SS, offsetof(PtRegs, ss));
    DEFINE(USER_PAGE_RESUME, offsetof(UserPage, resume));
    DEFINE(USER_PAGE_TOUCHES, offsetof(UserPage, touches));
    DEFINE(USER_PAGE_STUB_ARG, offsetof(UserPage, stub_arg));
    DEFINE(USER_DATA_VA, user_data_va);
    DEFINE(USER_DEMAND_VA, user_demand_va);
    DEFINE(KERNEL_CS, kernel_cs);
    DEFINE(KERNEL_DS, kernel_ds);
    DEFINE(USER_CS, user_cs);
    DEFINE(USER32_CS, user32_cs);
    DEFINE(USER_DS, user_ds);
    DEFINE(PORT_USER_MARK, Port::user_mark);
    DEFINE(ABI_VERSION, abi_version);
    DEFINE(ABI_LAYOUT, layout_hash());
}
