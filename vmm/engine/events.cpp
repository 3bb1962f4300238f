// The tables of events.
#include "vmm/engine/events.hpp"

#include "guest/abi/ports.hpp"
#include "vmm/engine/steer.hpp"

namespace stackrig::engine {
namespace {

abi::Entry entry_of(Vector vector) {
    switch (vector.value()) {
        case 1: return abi::Entry::debug;
        case 2: return abi::Entry::nmi;
        case 3: return abi::Entry::int3;
        case 6: return abi::Entry::invalid_op;
        case 13: return abi::Entry::general_protection;
        case 14: return abi::Entry::page_fault;
        case 18: return abi::Entry::machine_check;
        case abi::timer_vector: return abi::Entry::timer;
        default: return abi::Entry::device;
    }
}

Vector vector_of(const Event& event) {
    switch (event.kind) {
        case EventKind::nmi: return Vector{2};
        case EventKind::int3: return Vector{3};
        case EventKind::machine_check: return Vector{18};
        default: return native(event).vector;
    }
}

/// The first kernel instruction of each entry (guest_asm/entry_64.S).
constexpr std::pair<abi::Entry, const char*> handler_symbols[] = {
    {abi::Entry::syscall64, "entry_SYSCALL_64"},
    {abi::Entry::syscall32, "entry_SYSCALL_compat"},
    {abi::Entry::int80, "asm_int80_emulation"},
    {abi::Entry::page_fault, "asm_exc_page_fault"},
    {abi::Entry::debug, "asm_exc_debug"},
    {abi::Entry::int3, "asm_exc_int3"},
    {abi::Entry::invalid_op, "asm_exc_invalid_op"},
    {abi::Entry::general_protection, "asm_exc_general_protection"},
    {abi::Entry::divide_error, "asm_exc_divide_error"},
    {abi::Entry::machine_check, "asm_exc_machine_check"},
    {abi::Entry::timer, "asm_sysvec_apic_timer_interrupt"},
    {abi::Entry::device, "asm_common_interrupt"},
    {abi::Entry::nmi, "asm_exc_nmi"},
    {abi::Entry::double_fault, "asm_exc_double_fault"},
};
static_assert(std::size(handler_symbols) == abi::entry_count - 1);

}  // namespace

machine::NativeEvent native(const Event& event) {
    using machine::Delivery;
    switch (event.kind) {
        case EventKind::irq: return {.how = Delivery::interrupt, .vector = event.vector};
        case EventKind::nmi: return {.how = Delivery::nmi};
        case EventKind::machine_check: return {.how = Delivery::machine_check};
        case EventKind::debug: return {.how = Delivery::exception, .vector = Vector{1}};
        case EventKind::int3: return {.how = Delivery::int3};
        case EventKind::invalid_op: return {.how = Delivery::exception, .vector = Vector{6}};
        case EventKind::general_protection:
            return {.how = Delivery::exception, .vector = Vector{13}, .error_code = event.error_code};
        case EventKind::page_fault:
        case EventKind::call:
            return {.how = Delivery::exception, .vector = Vector{14}, .error_code = event.error_code, .cr2 = event.address};
    }
    return {};
}

abi::Entry entry_of(const Event& event) { return entry_of(vector_of(event)); }

Result<std::vector<Gva>> handler_addresses(const x86::Elf& guest, abi::Entry entry) {
    std::vector<Gva> addresses;
    for (const auto& [handled, name] : handler_symbols) {
        const bool irq = handled == abi::Entry::timer || handled == abi::Entry::device;
        if (handled == entry || (entry == abi::Entry::none && irq)) {
            STACKRIG_TRY_ASSIGN(const Gva address, guest_symbol(guest, name));
            addresses.push_back(address);
        }
    }
    return addresses;
}

}  // namespace stackrig::engine
