// BareGuest: its page tables, descriptor tables and start state.
#include "vmm/host/bare_guest.hpp"

#include <algorithm>
#include <array>

namespace stackrig::host {
namespace {

constexpr Gpa pml4{0x1000};
constexpr Gpa pdpt{0x2000};
constexpr Gpa directory{0x3000};
constexpr Gpa gdt{0x5000};
constexpr Gpa idt{0x6000};
constexpr Gpa tss{0x8000};
constexpr std::uint16_t tss_selector = 0x30;
constexpr std::uint16_t tss_limit = 103;

// Page-table entry bits (SDM 3A 4.5).
constexpr std::uint64_t present_writable = 3;
constexpr std::uint64_t accessed_dirty = 0x60;

// CR0: PG WP NE ET MP PE; CR4: PAE; EFER: NXE LMA LME SCE.
constexpr std::uint64_t cr0 = 0x80010033;
constexpr std::uint64_t cr4 = 0x20;
constexpr std::uint64_t efer = 0xd01;

constexpr std::uint32_t msr_star = 0xc0000081;
constexpr std::uint32_t msr_lstar = 0xc0000082;
constexpr std::uint32_t msr_cstar = 0xc0000083;
constexpr std::uint32_t msr_fmask = 0xc0000084;
constexpr std::uint64_t flags_cleared_by_syscall = 0x700;  // TF IF DF

constexpr bool pushes_error_code(unsigned vector) {
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 ||
           vector == 30;
}

kvm::Segment code_segment(std::uint16_t selector, std::uint8_t dpl, bool is_64_bit) {
    kvm::Segment segment;
    segment.limit = 0xffffffff;
    segment.selector = selector;
    segment.type = 11;  // execute, read, accessed
    segment.present = 1;
    segment.dpl = dpl;
    segment.db = is_64_bit ? 0 : 1;
    segment.s = 1;
    segment.l = is_64_bit ? 1 : 0;
    segment.g = 1;
    return segment;
}

kvm::Segment data_segment(std::uint16_t selector, std::uint8_t dpl) {
    kvm::Segment segment = code_segment(selector, dpl, false);
    segment.type = 3;  // read, write, accessed
    return segment;
}

kvm::Segment task_segment() {
    kvm::Segment segment;
    segment.base = tss.value();
    segment.limit = tss_limit;
    segment.selector = tss_selector;
    segment.type = 11;  // busy 64-bit TSS: what VMX demands
    segment.present = 1;
    return segment;
}

kvm::Sregs start_sregs(bool user, bool compat) {
    const std::uint8_t dpl = user ? 3 : 0;
    kvm::Sregs sregs;
    sregs.cs = user ? code_segment(compat ? BareGuest::user_cs32 : BareGuest::user_cs, dpl, !compat)
                    : code_segment(BareGuest::kernel_cs, dpl, true);
    sregs.ss = data_segment(user ? BareGuest::user_ss : BareGuest::kernel_ss, dpl);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = data_segment(BareGuest::user_ss, 3);
    sregs.tr = task_segment();
    sregs.ldt.unusable = 1;
    sregs.ldt.type = 2;
    sregs.gdt = {gdt.value(), tss_selector + 15, {}};
    sregs.idt = {idt.value(), 4095, {}};
    sregs.cr0 = cr0;
    sregs.cr3 = pml4.value();
    sregs.cr4 = cr4;
    sregs.efer = efer;
    sregs.apic_base = 0xfee00900;  // as after reset: enabled, boot processor
    return sregs;
}

Result<void> write_page_tables(kvm::Memory& memory) {
    constexpr std::uint64_t table = present_writable | accessed_dirty | BareGuest::pte_user;
    STACKRIG_TRY(memory.write(pml4, pdpt.value() | table));
    STACKRIG_TRY(memory.write(pdpt, directory.value() | table));
    STACKRIG_TRY(memory.write(directory, BareGuest::page_table.value() | table));
    std::array<std::uint64_t, 512> leaves{};
    for (std::uint64_t page = 0; page < leaves.size(); ++page) {
        leaves[page] = (page << page_shift) | present_writable | accessed_dirty;
    }
    leaves[BareGuest::user_code.value() >> page_shift] |= BareGuest::pte_user;
    leaves[(BareGuest::user_stack.value() >> page_shift) - 1] |= BareGuest::pte_user;
    return memory.write(BareGuest::page_table, leaves);
}

Result<void> write_gdt(kvm::Memory& memory) {
    constexpr std::uint64_t tss_low = (tss.value() & 0xffffff) << 16 | std::uint64_t{0x8b} << 40 | tss_limit;
    constexpr std::array<std::uint64_t, 8> entries{
        0,
        0x00af9b000000ffff,  // 08 ring 0 code, 64-bit
        0x00cf93000000ffff,  // 10 ring 0 data
        0x00cffb000000ffff,  // 1b ring 3 code, 32-bit
        0x00cff3000000ffff,  // 23 ring 3 data
        0x00affb000000ffff,  // 2b ring 3 code, 64-bit
        tss_low,             // 30 TSS
        0,                   // its upper half
    };
    return memory.write(gdt, entries);
}

Result<void> write_idt_and_handlers(kvm::Memory& memory) {
    // HLT; [ADD RSP, 8]; IRETQ.
    constexpr std::array<std::uint8_t, 3> plain{0xf4, 0x48, 0xcf};
    constexpr std::array<std::uint8_t, 7> with_error_code{0xf4, 0x48, 0x83, 0xc4, 0x08, 0x48, 0xcf};
    for (unsigned vector = 0; vector < 256; ++vector) {
        const std::uint64_t handler = BareGuest::handlers.value() + vector * BareGuest::handler_bytes;
        const std::uint64_t dpl = vector == 3 || vector == 0x80 ? 3 : 0;
        const std::array<std::uint64_t, 2> gate{
            (handler & 0xffff) | std::uint64_t{BareGuest::kernel_cs} << 16 |
                (std::uint64_t{0x8e} | dpl << 5) << 40 | (handler >> 16) << 48,
            handler >> 32};
        STACKRIG_TRY(memory.write(idt + vector * sizeof(gate), gate));
        STACKRIG_TRY(pushes_error_code(vector) ? memory.write(Gpa(handler), with_error_code)
                                               : memory.write(Gpa(handler), plain));
    }
    return {};
}

}  // namespace

Result<void> BareGuest::write_tables() {
    STACKRIG_TRY(write_page_tables(memory_));
    STACKRIG_TRY(write_gdt(memory_));
    STACKRIG_TRY(write_idt_and_handlers(memory_));
    constexpr std::uint64_t rsp0_offset = 4;
    STACKRIG_TRY(memory_.write(tss + rsp0_offset, kernel_stack.value()));
    STACKRIG_TRY(memory_.write(tss + 102, static_cast<std::uint16_t>(tss_limit + 1)));  // no I/O bitmap
    constexpr std::array<std::uint8_t, 3> say_cs{0x8c, 0xc8, 0xf4};                     // mov eax, cs; hlt
    STACKRIG_TRY(memory_.write(Gpa(syscall_entry.value()), say_cs));
    return memory_.write(Gpa(compat_entry.value()), std::uint8_t{0xf4});
}

Result<BareGuest> BareGuest::create(const kvm::System& system) {
    STACKRIG_TRY_ASSIGN(kvm::Memory memory, kvm::Memory::create(Gpa(0), ram_bytes));
    STACKRIG_TRY_ASSIGN(kvm::Vm vm, system.create_vm());
    STACKRIG_TRY(vm.add_slot({.id = ram_slot, .base = Gpa(0), .host = memory.unrecorded_bytes()}));
    STACKRIG_TRY_ASSIGN(kvm::Vcpu cpu, vm.create_vcpu(CpuId(0)));
    STACKRIG_TRY_ASSIGN(const auto cpuid, system.supported_cpuid());
    STACKRIG_TRY(cpu.set_cpuid(cpuid));
    BareGuest guest(std::move(memory), std::move(vm), std::move(cpu));
    STACKRIG_TRY(guest.reset());
    return guest;
}

Result<void> BareGuest::reset() {
    STACKRIG_TRY(cpu_.abandon_pending());
    STACKRIG_TRY(write_tables());
    STACKRIG_TRY(vm_.zap());  // the tables may have been shadowed
    STACKRIG_TRY(cpu_.disarm_single_step());
    cpu_.request_interrupt_window(false);
    STACKRIG_TRY(cpu_.set_events({}));
    STACKRIG_TRY(cpu_.set_debug_regs({}));
    STACKRIG_TRY(cpu_.set_sregs(start_sregs(false, false)));
    const std::uint64_t star = std::uint64_t{user_cs32} << 48 | std::uint64_t{kernel_cs} << 32;
    const std::array<kvm::Msr, 4> msrs{
        kvm::Msr{msr_star, 0, star}, kvm::Msr{msr_lstar, 0, syscall_entry.value()},
        kvm::Msr{msr_cstar, 0, compat_entry.value()}, kvm::Msr{msr_fmask, 0, flags_cleared_by_syscall}};
    return cpu_.set_msrs(msrs);
}

Result<void> BareGuest::start_kernel(std::span<const std::uint8_t> code) {
    STACKRIG_TRY(reset());
    STACKRIG_TRY(memory_.write(Gpa(kernel_code.value()), std::as_bytes(code)));
    kvm::Regs regs;
    regs.rip = kernel_code.value();
    regs.rsp = kernel_stack.value();
    return cpu_.set_regs(regs);
}

Result<void> BareGuest::start_user(std::span<const std::uint8_t> code, bool compat) {
    STACKRIG_TRY(reset());
    STACKRIG_TRY(memory_.write(Gpa(user_code.value()), std::as_bytes(code)));
    STACKRIG_TRY(cpu_.set_sregs(start_sregs(true, compat)));
    kvm::Regs regs;
    regs.rip = user_code.value();
    regs.rsp = user_stack.value();
    return cpu_.set_regs(regs);
}

Result<std::optional<Vector>> BareGuest::halted_in() const {
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, cpu_.regs());
    const std::uint64_t behind_hlt = regs.rip - 1 - handlers.value();
    if (regs.rip <= handlers.value() || behind_hlt >= 256 * handler_bytes ||
        behind_hlt % handler_bytes != 0) {
        return std::nullopt;
    }
    return Vector(static_cast<std::uint8_t>(behind_hlt / handler_bytes));
}

}  // namespace stackrig::host
