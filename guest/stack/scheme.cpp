// Which scheme this boot runs, and what all of them need.
#include "guest/stack/scheme.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mm.hpp"
#include "guest/kernel/state.hpp"
#include "guest/stack/pages.hpp"

namespace guest {
namespace {

const StackScheme* selected = &fixed_scheme;

}  // namespace

const StackScheme& scheme() { return *selected; }

void select_scheme(abi::Scheme which) {
    selected = which == abi::Scheme::entry_exit ? &entry_exit_scheme : &fixed_scheme;
}

u64 stack_pte_flags() { return pte_kernel_data | (policies().global == abi::Global::on ? pte_global : 0); }

void free_stack_page(PerCpu* pc, Thread* t, u32 i) {
    u64* pte = stack_pte(t->slot, i);
    if ((*pte & pte_present) == 0) {
        return;
    }
    const u32 pfn = static_cast<u32>((*pte & pte_frame_mask) / abi::page_bytes);
    push(pc->hands, pfn);
    write_once(*pte, u64{0});
    forget_page(t, i);
    top_to_buddy(pc);
}

}  // namespace guest
