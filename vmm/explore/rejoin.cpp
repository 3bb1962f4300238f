// Whether a run has rejoined the trunk: equal machines, but for memory that nobody will read before writing it.
#include <algorithm>
#include <cstring>

#include "guest/abi/layout.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/explore/trunk.hpp"

namespace stackrig::explore {
namespace {

constexpr std::size_t most_pages = 64;

/// Without what machine-check banks have logged, and what the CPU caches of an SS that is null, which depends on how it was loaded:
/// 64-bit kernel code reads neither (SDM 3A 5.4.1.1).
machine::CpuSnapshot without_the_unread(machine::CpuSnapshot cpu) {
    for (kvm::Msr& msr : cpu.msrs) {
        if (msr.index >= 0x400 && msr.index < 0x404) {
            msr.value = 0;
        }
    }
    if (cpu.sregs.ss.selector == 0 && (cpu.sregs.cs.selector & 3) == 0) {
        cpu.sregs.ss = {};
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
            "what machine-check banks have logged, and what a CPU caches of a null SS",
            "the counts of remote flushes, but not which CPU has not seen which",
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

bool Trunk::same_page(Pfn page, std::span<const std::byte> is, std::span<const std::byte> was) const {
    const std::size_t from = alive_from(page);
    const std::vector<std::size_t>& counts = flush_counts_.in_page(page);
    if (counts.empty()) {
        return same_bytes(is.subspan(from), was.subspan(from));
    }
    std::array<std::byte, page_size> counted_alike;
    std::copy(was.begin(), was.end(), counted_alike.begin());
    for (const std::size_t at : counts) {
        std::copy_n(is.begin() + static_cast<std::ptrdiff_t>(at), sizeof(std::uint64_t), counted_alike.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return same_bytes(is.subspan(from), std::span<const std::byte>(counted_alike).subspan(from));
}

bool Trunk::same_unseen(const machine::Snapshot& there) const {
    const auto here = [this](Gpa at) { return session_->machine().clean_memory().read_as<std::uint64_t>(at).value_or(0); };
    const auto then = [&](Gpa at) {
        std::uint64_t word = 0;
        std::memcpy(&word, snapshots_->page_of(there, to_pfn(at)).data() + at.value() % page_size, sizeof word);
        return word;
    };
    return flush_counts_.unseen(here) == flush_counts_.unseen(then);
}

Result<bool> Trunk::same_memory(const machine::Snapshot& there) {
    STACKRIG_TRY_ASSIGN(const auto differing, snapshots_->differing(there, most_pages));
    const auto same = [&](Pfn page) {
        return same_page(page, session_->machine().memory().bytes().subspan(to_gpa(page).value(), page_size), snapshots_->page_of(there, page));
    };
    return differing.size() < most_pages && std::all_of(differing.begin(), differing.end(), same) && same_unseen(there);
}

Result<bool> Trunk::same_machine(const machine::Snapshot& there) {
    for (std::uint32_t i = 0; i < session_->machine().cpus(); ++i) {
        STACKRIG_TRY_ASSIGN(const machine::CpuSnapshot cpu, machine::capture(session_->machine().vcpu(CpuId{i})));
        const machine::CpuSnapshot& then = there.cpu(CpuId{i});
        if (cpu == then) {
            continue;
        }
        if (!(without_the_unread(cpu) == without_the_unread(then))) {
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
