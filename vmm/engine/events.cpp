// Vectors, error codes, entries.
#include "vmm/engine/events.hpp"

#include <utility>

#include "guest/abi/ports.hpp"
#include "vmm/x86/descriptors.hpp"

namespace stackrig::engine {
namespace {

constexpr std::uint64_t kernel_half = 0xffff800000000000;

constexpr std::pair<std::uint8_t, abi::Entry> exceptions[] = {
    {0, abi::Entry::divide_error},   {1, abi::Entry::debug},          {3, abi::Entry::int3},
    {4, abi::Entry::overflow},       {5, abi::Entry::bounds},         {6, abi::Entry::invalid_op},
    {7, abi::Entry::device_not_available}, {10, abi::Entry::invalid_tss}, {11, abi::Entry::segment_not_present},
    {12, abi::Entry::stack_segment}, {13, abi::Entry::general_protection}, {14, abi::Entry::page_fault},
    {16, abi::Entry::x87},           {17, abi::Entry::alignment_check}, {19, abi::Entry::simd},
};

abi::Entry entry_of_interrupt(Vector vector) {
    switch (vector.value()) {
        case abi::timer_vector: return abi::Entry::timer;
        case abi::reschedule_vector: return abi::Entry::reschedule;
        case abi::call_function_vector: return abi::Entry::call_function;
        default: return abi::Entry::device;
    }
}

}  // namespace

std::optional<abi::Entry> entry_of_exception(Vector vector) {
    for (const auto& [number, entry] : exceptions) {
        if (number == vector.value()) {
            return entry;
        }
    }
    return std::nullopt;
}

machine::NativeEvent native(const Event& event) {
    using machine::Delivery;
    switch (event.kind) {
        case EventKind::irq: return {.how = Delivery::interrupt, .vector = event.vector};
        case EventKind::nmi: return {.how = Delivery::nmi};
        case EventKind::machine_check: return {.how = Delivery::machine_check};
        case EventKind::debug: return {.how = Delivery::exception, .vector = Vector{1}};
        case EventKind::int3: return {.how = Delivery::int3};
        case EventKind::exception: {
            machine::NativeEvent raised{.how = Delivery::exception, .vector = event.vector};
            if (x86::pushes_error_code(event.vector)) {
                raised.error_code = event.error_code;
            }
            return raised;
        }
        case EventKind::page_fault:
        case EventKind::async_page_fault:
        case EventKind::call:
            return {.how = Delivery::exception, .vector = Vector{14}, .error_code = event.error_code, .cr2 = event.address};
    }
    return {};
}

abi::Entry entry_of(const Event& event) {
    switch (event.kind) {
        case EventKind::irq: return entry_of_interrupt(event.vector);
        case EventKind::nmi: return abi::Entry::nmi;
        case EventKind::machine_check: return abi::Entry::machine_check;
        case EventKind::debug: return abi::Entry::debug;
        case EventKind::int3: return abi::Entry::int3;
        case EventKind::page_fault:
            return event.address.value() >= kernel_half ? abi::Entry::kernel_address : abi::Entry::page_fault;
        case EventKind::async_page_fault: return abi::Entry::async_page_fault;
        case EventKind::exception: return entry_of_exception(event.vector).value_or(abi::Entry::none);
        case EventKind::call:
            return event.call.via == abi::Via::syscall64   ? abi::Entry::syscall64
                   : event.call.via == abi::Via::syscall32 ? abi::Entry::syscall32
                                                           : abi::Entry::int80;
    }
    return abi::Entry::none;
}

}  // namespace stackrig::engine
