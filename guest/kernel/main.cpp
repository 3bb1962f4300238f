// kernel_main(): from boot.S to the idle loop of CPU 0; panic and warn; what the compiler expects of a C library.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/scheme.hpp"

stackrig::abi::KernelState kernel_state;

namespace guest {
namespace {

PerCpu percpu_areas[abi::max_cpus];
Thread thread_table[abi::max_threads + abi::max_cpus];

u32 length_of(const char* text) {
    u32 length = 0;
    while (text[length] != 0) {
        ++length;
    }
    return length;
}

void fill(FrameStash& stash, u32 pages) {
    for (u32 i = 0; i < pages; ++i) {
        stash.pfn[stash.count++] = alloc_boot_page(FrameUse::stack);
    }
}

void start_kernel_state(const abi::BootParams& params) {
    abi::KernelState* ks = state();
    ks->magic = abi::boot_magic;
    ks->version = abi::abi_version;
    ks->scheme = params.scheme;
    ks->cpus = params.cpus;
    ks->threads = thread_table;
    for (u32 cpu = 0; cpu < params.cpus; ++cpu) {
        ks->percpu[cpu] = &percpu_areas[cpu];
    }
}

void start_cpu(u32 cpu, const abi::BootParams& params) {
    PerCpu* pc = state()->percpu[cpu];
    pc->idle = create_idle(cpu);
    pc->current = pc->idle;
    pc->kernel_top = abi::stack_top(pc->idle->slot);
    fill(pc->cache, params.cache_pages);
    fill(pc->reserve, params.reserve_pages);
}

/// On the idle thread's own stack.
[[noreturn]] void rest_init() {
    const abi::BootParams& params = boot_params();
    for (u32 i = 0; i < params.thread_count; ++i) {
        create_thread(params.threads[i]);
    }
    balloon_inflate(params.free_pages);
    mark(Mark::boot_done);
    cpu_idle();
}

}  // namespace

void warn(const char* text) { mark(Mark::warn, reinterpret_cast<u64>(text), length_of(text)); }

[[noreturn]] void panic(const char* text) {
    local_irq_disable();
    mark(Mark::panic, reinterpret_cast<u64>(text), length_of(text));
    for (;;) {
        asm volatile("cli; hlt");
    }
}

}  // namespace guest

extern "C" {

using namespace guest;

[[noreturn]] void kernel_main() {
    const abi::BootParams& params = boot_params();
    if (params.magic != abi::boot_magic || params.version != abi::abi_version) {
        panic("the boot parameters are of another ABI version");
    }
    start_kernel_state(params);
    cpu_init(0);
    mm_init(params.thread_count + params.cpus);
    select_scheme(params.scheme);
    start_cpu(0, params);
    asm volatile("movq %0, %%rsp; xorl %%ebp, %%ebp; jmp *%1"
                 :
                 : "r"(this_cpu()->kernel_top - 8), "r"(rest_init)
                 : "memory");
    __builtin_unreachable();
}

void* memset(void* to, int value, size_t count) {
    u8* bytes = static_cast<u8*>(to);
    asm volatile("rep stosb" : "+D"(bytes), "+c"(count) : "a"(value) : "memory");
    return to;
}

void* memcpy(void* to, const void* from, size_t count) {
    void* start = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return start;
}

}  // extern "C"
