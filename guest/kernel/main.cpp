// kernel_main(): from boot.S to the idle loop of CPU 0; panic and warn; what the compiler expects of a C library.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/sched.hpp"
#include "guest/kernel/smp.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/scheme.hpp"

stackrig::abi::KernelState kernel_state;
extern "C" uint32_t nmi_stays_on_ist;

namespace guest {
namespace {

PerCpu percpu_areas[abi::max_cpus];
u32 length_of(const char* text) {
    u32 length = 0;
    while (text[length] != 0) {
        ++length;
    }
    return length;
}

bool offline_at_boot(u32 cpu) { return (boot_params().offline >> cpu & 1) != 0; }

u32 threads_of(const abi::BootParams& params) { return params.cpus + params.thread_count + params.crowd + scheme().helpers(); }

void start_kernel_state(const abi::BootParams& params) {
    abi::KernelState* ks = state();
    ks->magic = abi::boot_magic;
    ks->version = abi::abi_version;
    ks->scheme = params.scheme;
    ks->cpus = params.cpus;
    for (u32 cpu = 0; cpu < params.cpus; ++cpu) {
        ks->percpu[cpu] = &percpu_areas[cpu];
    }
}

/// The table lies in frames of its own, one behind the other: at this time the free list is in order.
void make_thread_table(u32 threads) {
    const u32 pages = static_cast<u32>((threads * sizeof(Thread) + abi::page_bytes - 1) / abi::page_bytes);
    u32 first = alloc_boot_page(FrameUse::kernel);
    for (u32 i = 1; i < pages; ++i) {
        alloc_boot_page(FrameUse::kernel);
    }
    state()->threads = direct_map<Thread>(frame_pa(first));
    state()->thread_count = threads;
}

void create_threads(const abi::BootParams& params) {
    for (u32 i = 0; i < params.thread_count; ++i) {
        if (params.threads[i].forked == 0) {
            create_thread(params.cpus + i, params.threads[i]);
        }
    }
    const u32 first = params.cpus + params.thread_count;
    for (u32 i = 0; i < params.crowd; ++i) {
        create_crowd_thread(first + i, &state()->threads[params.cpus]);
    }
    scheme().start_helpers(first + params.crowd);
}

/// On the idle thread's own stack.
[[noreturn]] void rest_init() {
    const abi::BootParams& params = boot_params();
    local_irq_disable();
    for (u32 cpu = 1; cpu < params.cpus; ++cpu) {
        if (!offline_at_boot(cpu)) {
            cpu_up(cpu);
        }
    }
    create_threads(params);
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
    select_scheme(params.scheme);
    const u32 threads = threads_of(params);
    mm_init(threads);
    make_thread_table(threads);
    for (u32 cpu = 0; cpu < params.cpus; ++cpu) {
        prepare_cpu(cpu);
    }
    nmi_stays_on_ist = params.policies.nmi == abi::NmiFromUser::ist ? 1 : 0;
    scheme().fund_cpu(this_cpu());
    scheme().fund_pool();
    write_once(this_cpu()->online, 1u);
    mark(Mark::cpu_online, 0);
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
