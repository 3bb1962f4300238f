// The baseline: four pages mapped for life, as mainline x86-64 has them.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/stack/pages.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {
namespace {

u32 initial_pages(ThreadKind) { return abi::stack_pages; }
void thread_nothing(Thread*) {}
void cpu_nothing(PerCpu*) {}
void nothing() {}

void release(Thread* t) {
    const Hook hook(this_cpu());
    for (u32 i = 0; i < abi::stack_pages; ++i) {
        free_stack_page(this_cpu(), t, i);
    }
    after_unmap(t);
}

}  // namespace

const StackScheme fixed_scheme = {
    .name = "fixed",
    .initial_pages = initial_pages,
    .enter = [](Thread*, Entry) {},
    .wait = thread_nothing,
    .loop_begin = thread_nothing,
    .exit = thread_nothing,
    .born = thread_nothing,
    .release = release,
    .scheduling = cpu_nothing,
    .switching = [](PerCpu*, Thread*) {},
    .switched = [](Thread*, Thread*) {},
    .resumed = thread_nothing,
    .page_freed = nothing,
    .asked_for_pages = cpu_nothing,
    .fund_cpu = [](PerCpu*) { return true; },
    .drain_cpu = cpu_nothing,
    .fund_pool = nothing,
    .helpers = [] { return u32{0}; },
    .start_helpers = [](u32) {},
    .help = nothing,
};

}  // namespace guest
