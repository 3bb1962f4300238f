// The table of stubs (guest_asm/user.S) and the two checks of where they entered the kernel.
#include "vmm/engine/steer.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "guest/abi/layout.hpp"
#include "guest/abi/program.hpp"
#include "vmm/engine/events.hpp"

namespace stackrig::engine {
namespace {

struct Stub {
    abi::Entry entry;
    const char* name;         // user_inject_*
    const char* instruction;  // label of the instruction that enters the kernel
    unsigned length;          // bytes of it that are over when the kernel starts: 0 for faults
    const char* handler;
};

constexpr Stub stubs[] = {
    {abi::Entry::syscall64, "user_inject_syscall64", "user_inject_syscall64_insn", 2, "entry_SYSCALL_64"},
    {abi::Entry::syscall32, "user_inject_syscall32", "user_call32_insn", 2, "entry_SYSCALL_compat"},
    {abi::Entry::int80, "user_inject_int80", "user_inject_int80_insn", 2, "asm_int80_emulation"},
    {abi::Entry::invalid_op, "user_inject_ud", "user_ud2_insn", 0, "asm_exc_invalid_op"},
    {abi::Entry::general_protection, "user_inject_gp", "user_gp_insn", 0, "asm_exc_general_protection"},
    {abi::Entry::int3, "user_inject_bp", "user_int3_insn", 1, "asm_exc_int3"},
    {abi::Entry::debug, "user_inject_db", "user_step_insn", 1, "asm_exc_debug"},
    {abi::Entry::page_fault, "user_inject_pf", "user_touch_insn", 0, "asm_exc_page_fault"},
};

template <class T>
Result<void> write_user(machine::Machine& machine, CpuId cpu, Gva at, const T& value) {
    STACKRIG_TRY_ASSIGN(const Gpa where, machine.physical(cpu, at));
    return machine.memory().write(where, value);
}

}  // namespace

Result<Gva> guest_symbol(const x86::Elf& guest, const char* name) {
    const auto address = guest.find(name);
    if (!address) {
        return fail(ErrorKind::rig, fmt::format("{} has no symbol {}: guest and program do not fit together", guest.path(), name));
    }
    return *address;
}

Result<Steered> steer(machine::Machine& machine, CpuId cpu, const x86::Elf& guest, const Event& event) {
    const abi::Entry entry = entry_of(event);
    const Stub* stub = std::find_if(std::begin(stubs), std::end(stubs), [entry](const Stub& s) { return s.entry == entry; });
    if (stub == std::end(stubs)) {
        return fail(ErrorKind::usage, fmt::format("{} is no event a thread can cause; inject it on a CPU", event.text));
    }
    STACKRIG_TRY_ASSIGN(const Gva target, guest_symbol(guest, stub->name));
    STACKRIG_TRY_ASSIGN(const Gva instruction, guest_symbol(guest, stub->instruction));
    STACKRIG_TRY_ASSIGN(const Gva handler, guest_symbol(guest, stub->handler));
    if (event.kind == EventKind::call) {
        const std::array<std::uint64_t, 3> args{static_cast<std::uint64_t>(event.call.number), event.call.arg, event.call.depth};
        STACKRIG_TRY(write_user(machine, cpu, Gva(abi::user_data_va + offsetof(abi::UserPage, stub_arg)), args));
    }
    STACKRIG_TRY_ASSIGN(kvm::Regs regs, machine.vcpu(cpu).regs());
    regs.rsp -= 8;
    STACKRIG_TRY(write_user(machine, cpu, Gva(regs.rsp), regs.rip));
    regs.rip = target.value();
    STACKRIG_TRY(machine.vcpu(cpu).set_regs(regs));
    return Steered{entry, instruction, instruction + stub->length, handler};
}

Result<std::string> verify_steered(machine::Machine& machine, CpuId cpu, const Steered& steered) {
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, machine.vcpu(cpu).regs());
    std::uint64_t left_behind = regs.rcx;  // SYSCALL (SDM 2B)
    if (steered.entry != abi::Entry::syscall64 && steered.entry != abi::Entry::syscall32) {
        const bool error_code = steered.entry == abi::Entry::general_protection || steered.entry == abi::Entry::page_fault;
        STACKRIG_TRY_ASSIGN(const Gpa frame, machine.physical(cpu, Gva(regs.rsp + (error_code ? 8 : 0))));
        STACKRIG_TRY_ASSIGN(left_behind, machine.memory().read<std::uint64_t>(frame));
    }
    if (left_behind != steered.resume.value()) {
        return fmt::format("the kernel was entered with RIP {:#x} instead of {}", left_behind, steered.resume);
    }
    return std::string();
}

}  // namespace stackrig::engine
