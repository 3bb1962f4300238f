// Whether a run has rejoined the trunk: equal machines, but for memory that nobody will read before writing it.
#include <algorithm>

#include "guest/abi/layout.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/explore/trunk.hpp"

namespace stackrig::explore {
namespace {

constexpr std::size_t most_pages = 64;

/// What the machine-check banks have logged is read by nobody.
machine::CpuSnapshot without_logs(machine::CpuSnapshot cpu) {
    for (kvm::Msr& msr : cpu.msrs) {
        if (msr.index >= 0x400 && msr.index < 0x404) {
            msr.value = 0;
        }
    }
    return cpu;
}

}  // namespace

std::uint64_t registers_key(const engine::Session::State& run) {
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto mix = [&hash](std::uint64_t word) { hash = (hash ^ word) * 0x100000001b3; };
    const engine::CpuState& cpu = run.cpus[run.active.value()];
    mix(run.active.value() | run.step << 8);
    mix(cpu.rip.value());
    mix(cpu.rflags);
    for (const std::uint64_t reg : cpu.gpr) {
        mix(reg);
    }
    return hash;
}

std::vector<std::string> Trunk::ignored() {
    return {"bytes below the stack pointer of a thread's stack, and the whole stack of a thread in user mode",
            "the entry, IRQ and IST stacks of a CPU that runs on none of them, and the others of one that runs on the entry stack",
            "the contents of frames in a cache, a reserve or on the free list",
            "what machine-check banks have logged",
            "how often marks were raised, unless a predicate of the scenario asks for it",
            "the number of stops so far"};
}

/// The first byte of `page` from which on its contents matter, page_size if none does.
std::size_t Trunk::alive_from(Pfn page) const {
    const oracle::View& view = watch_->oracle().view();
    using Where = oracle::StackPointer::Where;
    const auto below = [](Gva sp, Gva base) -> std::size_t {
        return sp <= base ? 0 : std::min<std::uint64_t>(sp - base, page_size);
    };
    if (const auto found = cpu_stacks_.find(page.value()); found != cpu_stacks_.end()) {
        const oracle::CpuView& cpu = view.cpu(found->second.cpu);
        if (cpu.regs.user_mode() || cpu.rsp.where == Where::thread_stack || cpu.rsp.where == Where::user) {
            return page_size;
        }
        const bool on_one = cpu.rsp.where == Where::cpu_stack;
        if (on_one && cpu.rsp.stack == found->second.stack) {
            return below(cpu.regs.rsp, found->second.base);
        }
        return on_one && cpu.rsp.stack == abi::CpuStack::entry ? page_size : 0;  // that one is the way from and to user mode
    }
    const oracle::Place place = view.frames->at(page).solid;
    switch (place.kind) {
        case oracle::PlaceKind::cache:
        case oracle::PlaceKind::reserve:
        case oracle::PlaceKind::free_list: return page_size;
        case oracle::PlaceKind::stack_page: break;
        default: return 0;
    }
    const auto owner = view.slots[place.owner].owner;
    if (!owner) {
        return 0;
    }
    const Gva base(abi::stack_page(place.owner, place.page));
    for (const oracle::CpuView& cpu : view.cpus) {
        if (cpu.running == owner) {
            if (cpu.regs.user_mode()) {
                return page_size;
            }
            const bool on_it = cpu.rsp.where == Where::thread_stack && cpu.rsp.slot.value() == place.owner;
            return on_it ? below(cpu.regs.rsp, base) : 0;
        }
    }
    return below(Gva(view.thread(*owner).saved_rsp), base);
}

Result<bool> Trunk::same_memory(const machine::Snapshot& there) {
    STACKRIG_TRY_ASSIGN(const auto differing, snapshots_->differing(there, most_pages));
    for (const Pfn page : differing) {
        const auto is = session_->machine().memory().bytes().subspan(to_gpa(page).value(), page_size);
        const auto was = snapshots_->page_of(there, page);
        const std::size_t from = alive_from(page);
        if (!same_bytes(is.subspan(from), was.subspan(from))) {
            return false;
        }
    }
    return differing.size() < most_pages;
}

Result<bool> Trunk::same_machine(const machine::Snapshot& there) {
    for (std::uint32_t i = 0; i < session_->machine().cpus(); ++i) {
        STACKRIG_TRY_ASSIGN(const machine::CpuSnapshot cpu, machine::capture(session_->machine().vcpu(CpuId{i})));
        const machine::CpuSnapshot& then = there.cpu(CpuId{i});
        if (cpu == then) {
            continue;
        }
        if (!(without_logs(cpu) == without_logs(then))) {
            return false;
        }
    }
    return same_memory(there);
}

Result<std::optional<std::size_t>> Trunk::rejoined() {
    const auto found = by_registers_.find(registers_key(session_->state()));
    if (found == by_registers_.end()) {
        return std::nullopt;
    }
    for (const std::size_t at : found->second) {
        const Moment& there = boundaries_[at].moment;
        if (!session_->state().same_future(there.run) || !watch_->same_future(*there.watch)) {
            continue;
        }
        STACKRIG_TRY_ASSIGN(const bool same, same_machine(there.machine));
        if (same) {
            return at;
        }
    }
    return std::nullopt;
}

}  // namespace stackrig::explore
