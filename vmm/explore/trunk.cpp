// Walking the trunk, and going back to it.
#include "vmm/explore/trunk.hpp"

#include <fmt/format.h>

#include "guest/abi/layout.hpp"
#include "vmm/engine/tracker.hpp"

namespace stackrig::explore {
engine::Place place_of(const Boundary& boundary, const engine::RunPlan& plan) {
    engine::Place place{.kind = engine::Place::Kind::symbol, .address = boundary.rip, .occurrence = boundary.occurrence};
    if (boundary.thread >= plan.guest.cpus) {
        place.thread = boundary.thread - plan.guest.cpus;
    }
    place.symbol = boundary.function;
    return place;
}

Trunk::Trunk(const Bench& bench, const scenario::Scenario& scenario)
    : bench_(bench), scenario_(scenario), symbols_(bench.guest), names_(scenario::names_of(scenario, symbols_)) {}

Result<std::unique_ptr<Trunk>> Trunk::walk(const Bench& bench, const scenario::Scenario& scenario, std::size_t most) {
    std::unique_ptr<Trunk> trunk(new Trunk(bench, scenario));
    STACKRIG_TRY_ASSIGN(const Gpa state, kernel_state(bench.guest));
    trunk->watch_ = std::make_unique<Watch>(scenario, trunk->names_, state, [&bench](Gva address) { return bench.guest.describe(address); });
    STACKRIG_TRY_ASSIGN(trunk->session_, engine::Session::create(bench.system, bench.guest, scenario.plan, *trunk->watch_, {}));
    STACKRIG_TRY(trunk->boot());
    STACKRIG_TRY(trunk->step_through(most));
    return trunk;
}

Result<void> Trunk::boot() {
    for (;;) {
        STACKRIG_TRY_ASSIGN(const bool ready, session_->poise());
        if (!ready || !session_->state().booting) {
            break;
        }
        STACKRIG_TRY(session_->go());
    }
    STACKRIG_TRY_ASSIGN(snapshots_, machine::Snapshots::begin(session_->machine()));
    STACKRIG_TRY_ASSIGN(const Gpa state, kernel_state(bench_.guest));
    if (const auto kernel = session_->machine().clean_memory().read_as<abi::KernelState>(state)) {
        flush_counts_ = FlushCounts::of(state, *kernel, session_->machine().memory().size());
    }
    STACKRIG_TRY_ASSIGN(const machine::AddressSpace space, session_->machine().address_space(CpuId{0}));
    for (std::uint32_t cpu = 0; cpu < scenario_.plan.guest.cpus; ++cpu) {
        for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(abi::CpuStack::count); ++i) {
            const auto stack = static_cast<abi::CpuStack>(i);
            for (unsigned page = 1; page <= abi::cpu_stack_pages[i]; ++page) {
                const Gva base(abi::cpu_stack_top(cpu, stack) - page * page_size);
                if (const auto at = space.physical(base)) {
                    cpu_stacks_[to_pfn(*at).value()] = {CpuId{cpu}, stack, base};
                }
            }
        }
    }
    return {};
}

Result<Boundary> Trunk::here(bool after_stop) {
    if (after_stop || !watch_state_) {
        watch_state_ = std::make_shared<Watch::State>(watch_->save());
    }
    STACKRIG_TRY_ASSIGN(machine::Snapshot machine, snapshots_->take());
    const engine::Session::State& run = session_->state();
    const machine::CpuSnapshot& cpu = machine.cpu(run.active);
    const std::uint32_t thread = run.tracker.current(run.active);
    const Gva rip(cpu.regs.rip);
    const bool user_mode = (cpu.sregs.cs.selector & 3) == 3;
    return Boundary{.moment = {std::move(machine), run, watch_state_}, .cpu = run.active, .thread = thread, .rip = rip,
                    .function = bench_.guest.symbol_at(rip), .user_mode = user_mode, .after_stop = after_stop,
                    .mapped = static_cast<std::uint32_t>(watch_->oracle().facts().mapped(oracle::ThreadId(thread)))};
}

std::uint32_t Visits::note(std::uint32_t thread, Gva rip) {
    const std::uint32_t own = ++of_thread_[{thread, rip}];
    const std::uint32_t all = ++of_all_[rip];
    return thread >= cpus_ ? own : all;
}

Result<void> Trunk::step_through(std::size_t most) {
    Visits visits(scenario_.plan.guest.cpus);
    std::uint64_t stops = ~std::uint64_t{0};
    for (;;) {
        STACKRIG_TRY_ASSIGN(const bool ready, session_->poise());
        if (!ready) {
            break;
        }
        if (boundaries_.size() == most) {
            return fail(ErrorKind::usage, fmt::format("{} has more than {} instruction boundaries, which are too many to keep; it stands in step {}. "
                                                      "Shorten the programs or the schedule", scenario_.title(), most, session_->state().step + 1));
        }
        STACKRIG_TRY_ASSIGN(Boundary boundary, here(session_->state().outcome.stops != stops));
        boundary.occurrence = visits.note(boundary.thread, boundary.rip);
        by_registers_[registers_key(session_->state())].push_back(boundaries_.size());
        boundaries_.push_back(std::move(boundary));
        stops = session_->state().outcome.stops;
        STACKRIG_TRY(session_->step());
    }
    session_->stop_stepping();
    outcome_ = session_->finish();
    return {};
}

Result<void> Trunk::restore(const Moment& moment) {
    // What stale translations the branch has left no longer follows from the page tables.
    if (watch_->oracle().translations().may_hold_stale() || moment.watch->oracle.translations.may_hold_stale()) {
        STACKRIG_TRY(snapshots_->flush_translations());
    }
    STACKRIG_TRY(snapshots_->restore(moment.machine));
    watch_->restore(*moment.watch);
    return session_->restore(moment.run);
}

}  // namespace stackrig::explore
