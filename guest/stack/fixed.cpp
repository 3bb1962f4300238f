// The baseline: four pages mapped for life, as mainline x86-64 has them.
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/stack/scheme.hpp"

namespace guest {
namespace {

u32 initial_pages(ThreadKind) { return abi::stack_pages; }
void enter(Thread*, Entry) {}
void wait(Thread*) {}
void exit(Thread*) {}
void page_freed() {}

void release(Thread* t) {
    for (u32 i = 1; i < abi::stack_pages; ++i) {
        u64* pte = stack_pte(t->slot, i);
        const u32 pfn = static_cast<u32>((*pte & pte_frame_mask) / abi::page_bytes);
        *pte = 0;
        invlpg(abi::stack_page(t->slot, i));
        free_page(pfn);
    }
}

}  // namespace

const StackScheme fixed_scheme = {"fixed", initial_pages, enter, wait, exit, release, page_freed};

}  // namespace guest
