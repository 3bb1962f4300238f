// Following threads through the kernel by marks and privilege level.
#include "vmm/oracle/history.hpp"

#include <algorithm>

namespace stackrig::oracle {
namespace {

using abi::Mark;

/// Marks whose first argument names a thread; the others are about whoever runs.
bool names_thread(Mark mark) {
    switch (mark) {
        case Mark::boot_done:
        case Mark::handler_begin:
        case Mark::handler_end:
        case Mark::panic:
        case Mark::warn:
        case Mark::idle:
        case Mark::relax:
        case Mark::flush:
        case Mark::cpu_online:
        case Mark::cpu_offline:
        case Mark::cpu_up_failed:
        case Mark::irq_done:
            return false;
        default:
            return true;
    }
}

abi::Entry entry_of(std::uint64_t value) {
    return value < abi::entry_count ? static_cast<abi::Entry>(value) : abi::Entry::none;
}

/// ret_from_fork() runs with IRQs on, whether a stop shows it or not.
void start_first_run(ThreadHistory& h) {
    h.phase = Phase::first;
    h.visit = {.first_return = true, .irqs_were_on = true, .irqs_seen_on = true};
}

/// Events that IF does not hold back, so that they may find the kernel's data half-written.
bool ignores_if(abi::Entry entry) {
    return entry == abi::Entry::nmi || entry == abi::Entry::machine_check || entry == abi::Entry::debug || entry == abi::Entry::int3;
}

}  // namespace

const char* name_of(Phase phase) {
    switch (phase) {
        case Phase::never_ran:
            return "never ran";
        case Phase::first:
            return "first run";
        case Phase::user:
            return "user mode";
        case Phase::entry:
            return "entry, before ENTER";
        case Phase::enter:
            return "inside ENTER";
        case Phase::owed:
            return "in the kernel, owed its pages";
        case Phase::wait:
            return "waiting for pages";
        case Phase::kernel:
            return "in the kernel";
        case Phase::loop:
            return "exit work";
        case Phase::exit:
            return "inside EXIT";
        case Phase::left:
            return "leaving, after EXIT";
        case Phase::nmi:
            return "NMI from user mode";
        case Phase::dead:
            return "dead";
        case Phase::gone:
            return "gone";
    }
    return "?";
}

bool History::data_at_rest() const {
    return std::all_of(cpus_.begin(), cpus_.end(), [](const CpuHistory& c) { return c.async == 0 && !c.landed && !c.leaving; }) &&
           std::find(midway_.begin(), midway_.end(), true) == midway_.end();
}

void History::observe(const View& view) {
    turn_ = {};
    just_entered_.reset();
    if (just_handled_) {
        threads_[just_handled_->value()].phase = Phase::left;
        just_handled_.reset();
    }
    if (threads_.size() < view.threads.size()) {
        threads_.resize(view.threads.size());
        by_thread_.resize(view.threads.size());
    }
    if (cpus_.size() < view.cpus.size()) {
        cpus_.resize(view.cpus.size());
        midway_.resize(view.cpus.size());
        by_cpu_.resize(view.cpus.size());
    }
    for (std::uint32_t id = 0; id < view.threads.size(); ++id) {
        if (threads_[id].phase == Phase::gone && view.exists(ThreadId(id))) {
            threads_[id] = {};  // the entry of a dead thread serves a new one
        }
    }
    frames_.observe(view);
    kernel_frames_ = kernel_frames_.value_or(view.kernel_labelled);
    cpus_[view.stop->cpu.value()].leaving = false;
    midway_[view.stop->cpu.value()] = engine::between_instructions(view.stop->cause) && !view.here().regs.user_mode();
    const bool rest_before = data_at_rest();
    follow_modes(view);
    const engine::StopCause& cause = view.stop->cause;
    if (const auto* mark = std::get_if<engine::MarkStop>(&cause)) {
        follow_mark(view, *mark);
    } else if (const auto* landed = std::get_if<engine::LandedStop>(&cause)) {
        follow_landing(view, *landed);
    }
    note_sources(view);
    follow_spin(view);
    turn_.quiet = !engine::between_instructions(cause) && rest_before && data_at_rest();
}

void History::follow_modes(const View& view) {
    for (const CpuView& cpu : view.cpus) {
        if (cpu.running && view.exists(*cpu.running)) {
            follow_mode(view, cpu);
        }
    }
}

void History::follow_mode(const View& view, const CpuView& cpu) {
    const ThreadId t = *cpu.running;
    ThreadHistory& h = threads_[t.value()];
    if (view.thread(t).kind != abi::ThreadKind::user) {
        if (h.phase == Phase::never_ran) {
            h.phase = Phase::kernel;
            h.visit.irqs_were_on = true;
        }
        return;
    }
    if (cpu.regs.user_mode()) {
        h.user_irqs_on = cpu.regs.irqs_on();
        h.execed = false;
        if (h.phase != Phase::user) {
            arrive(t);
        }
    } else if (h.phase == Phase::never_ran) {
        start_first_run(h);
    } else if (h.phase == Phase::user) {
        start_visit(t, abi::Entry::none);
        just_entered_ = t;
    }
    h.visit.irqs_seen_on = h.visit.irqs_seen_on || (!h.visit.exit_work && !cpu.regs.user_mode() && cpu.regs.irqs_on());
    const bool own_step = std::holds_alternative<engine::BoundaryStop>(view.stop->cause) && view.stop->cpu == cpu.regs.cpu &&
                          cpu.rsp.where == StackPointer::Where::thread_stack;
    h.visit.enter_steps += h.phase == Phase::enter && own_step ? 1 : 0;
}

void History::arrive(ThreadId t) {
    ThreadHistory& h = threads_[t.value()];
    turn_.arrived = t;
    turn_.arrived_with = h.visit;
    h = {.phase = Phase::user, .user_irqs_on = h.user_irqs_on};  // nothing of a visit outlives it
}

void History::start_visit(ThreadId t, abi::Entry entry) {
    ThreadHistory& h = threads_[t.value()];
    if (h.phase == Phase::left) {
        arrive(t);  // user mode came and went between two stops
    }
    h.visit = {};
    h.visit.entry = entry;
    h.phase = Phase::entry;
}

void History::follow_landing(const View& view, const engine::LandedStop& landed) {
    cpus_[view.stop->cpu.value()].landed = !landed.from_user && ignores_if(landed.entry);
    const auto running = view.here().running;
    if (!running || just_entered_ != running || !landed.from_user) {
        return;  // the event found an entry that is already in the kernel: which one will be seen when it goes on
    }
    ThreadHistory& h = threads_[running->value()];
    h.visit.entry = landed.entry;
    h.user_irqs_on = landed.irqs_were_on;
    if (!abi::entry_class(landed.entry).hook) {
        h.phase = Phase::nmi;
    }
}

void History::count(const engine::MarkStop& mark, CpuId cpu) {
    const auto at = static_cast<std::size_t>(mark.mark);
    if (at >= mark_limit) {
        return;
    }
    ++by_cpu_[cpu.value()][at];
    if (turn_.thread) {
        ++by_thread_[turn_.thread->value()][at];
    }
}

void History::follow_mark(const View& view, const engine::MarkStop& mark) {
    if (names_thread(mark.mark)) {
        if (mark.args[0] < threads_.size()) {
            turn_.thread = ThreadId(static_cast<std::uint32_t>(mark.args[0]));
        }
    } else if (view.here().running && view.here().running->value() < threads_.size()) {
        turn_.thread = view.here().running;
    }
    count(mark, view.stop->cpu);
    if (mark.mark == Mark::handler_begin || mark.mark == Mark::handler_end) {
        follow_handler(view, mark);
        return;
    }
    if (!turn_.thread) {
        return;
    }
    follow_enter(view, mark, *turn_.thread);
    follow_exit(view, mark, *turn_.thread);
    follow_life(view, mark, *turn_.thread);
    follow_wait(mark, *turn_.thread);
}

void History::follow_handler(const View& view, const engine::MarkStop& mark) {
    const abi::Entry entry = entry_of(mark.args[0]);
    const bool begins = mark.mark == Mark::handler_begin;
    const bool ends = !begins || mark.args[2] != 0;  // whoever has nothing to do raises one mark for both
    if (mark.args[1] == 0) {
        CpuHistory& cpu = cpus_[view.stop->cpu.value()];
        cpu.landed = false;
        cpu.async += begins && ignores_if(entry) ? 1 : 0;
        if (ends && ignores_if(entry) && cpu.async > 0) {
            --cpu.async;
            cpu.leaving = true;
        }
        return;
    }
    if (!turn_.thread) {
        return;
    }
    const bool hook = abi::entry_class(entry).hook;
    ThreadHistory& h = threads_[turn_.thread->value()];
    if (begins) {
        if (h.phase == Phase::user || h.phase == Phase::left || entered_unseen(h, entry)) {
            start_visit(*turn_.thread, entry);
        }
        if (h.phase == Phase::entry) {
            h.visit.entry = entry;
            h.phase = hook ? Phase::entry : Phase::nmi;
        }
    }
    if (begins && ends && h.phase == Phase::nmi) {
        just_handled_ = turn_.thread;  // for this stop it is in the handler
    } else if (ends && h.phase == Phase::nmi) {
        h.phase = Phase::left;
    } else if (ends && h.phase == Phase::entry && hook) {
        pass_site(*turn_.thread, entry);
    }
}

/// Without hooks nothing marks the way out: user mode may have come and gone between two stops.
bool History::entered_unseen(const ThreadHistory& h, abi::Entry entry) const {
    return scheme_ == abi::Scheme::fixed && h.phase == Phase::kernel && h.visit.entry != entry;
}

/// The entry has got to a point that lies behind enter_from_user_mode().
void History::pass_site(ThreadId t, abi::Entry entry) {
    ThreadHistory& h = threads_[t.value()];
    if (h.phase == Phase::user || h.phase == Phase::left) {
        start_visit(t, entry);
    }
    if (h.phase == Phase::entry) {
        turn_.skipped_enter = scheme_ == abi::Scheme::entry_exit;
        h.phase = Phase::kernel;
        if (entry != abi::Entry::none) {
            h.visit.entry = entry;
        }
    }
}

void History::begin_enter(const View& view, ThreadId t, abi::Entry entry) {
    ThreadHistory& h = threads_[t.value()];
    if (h.phase == Phase::user || h.phase == Phase::left) {
        start_visit(t, entry);
    }
    turn_.double_enter = h.phase != Phase::entry;
    h.phase = Phase::enter;
    h.hook_cpu = view.stop->cpu;
    h.visit.entry = entry;
    ++h.visit.enters;
    h.visit.cache_ran_out = false;
    h.visit.alloc_failed = false;
    const auto first = std::find_if(waiters_.begin(), waiters_.end(), [&](ThreadId w) { return view.asleep_for(w, abi::WaitKind::pages); });
    h.visit.behind = first == waiters_.end() ? std::nullopt : std::optional(*first);
}

void History::follow_enter(const View& view, const engine::MarkStop& mark, ThreadId t) {
    ThreadHistory& h = threads_[t.value()];
    switch (mark.mark) {
        case Mark::enter_begin:
            begin_enter(view, t, entry_of(mark.args[1]));
            break;
        case Mark::enter_take:
            h.funded_on = view.stop->cpu;
            break;
        case Mark::enter_pte:
            h.visit.mapping = h.phase == Phase::wait;
            break;
        case Mark::enter_done:
            h.visit.owed = mark.args[2] != 0;
            h.phase = h.visit.owed ? Phase::owed : Phase::kernel;
            break;
        case Mark::irq_on:
            if (entered_unseen(h, entry_of(mark.args[1]))) {
                start_visit(t, entry_of(mark.args[1]));
            }
            pass_site(t, entry_of(mark.args[1]));
            h.visit.irqs_were_on = true;
            break;
        case Mark::syscall:
            pass_site(t, entry_of(mark.args[2]));
            break;
        case Mark::wait_begin:
            h.phase = Phase::wait;
            h.hook_cpu = view.stop->cpu;
            h.visit.mapping = false;
            h.visit.cache_ran_out = false;
            h.visit.alloc_failed = false;
            break;
        case Mark::wait_done:
            h.phase = Phase::kernel;
            h.visit.owed = policies_.kill == abi::Kill::killable && view.mapped(t) == only_p0;  // it has given up
            h.visit.mapping = false;
            break;
        default:
            break;
    }
}

void History::begin_exit(const View& view, ThreadId t) {
    ThreadHistory& h = threads_[t.value()];
    turn_.double_exit = h.phase == Phase::exit || h.phase == Phase::left;
    if (!turn_.double_exit) {
        pass_site(t, abi::Entry::none);
    }
    h.phase = Phase::exit;
    h.hook_cpu = view.stop->cpu;
    h.visit.exit_work = true;
    ++h.visit.exits;
    h.to_return_count = 0;
    h.visit.lent_at_exit = lent(t, view.stop->cpu);
    if (const SlotView* slot = view.slot_of(t)) {
        for (unsigned i = 1; i <= abi::extra_pages; ++i) {
            if (slot->page[i].present()) {
                h.to_return[h.to_return_count++] = slot->page[i].frame();
            }
        }
    }
}

void History::follow_exit(const View& view, const engine::MarkStop& mark, ThreadId t) {
    ThreadHistory& h = threads_[t.value()];
    switch (mark.mark) {
        case Mark::loop_begin:
            pass_site(t, abi::Entry::none);
            h.phase = Phase::loop;
            h.visit.exit_work = true;
            h.visit.repairing = true;
            break;
        case Mark::loop_irq_on:
            h.visit.irqs_were_on = true;
            h.visit.repairing = false;
            // Whoever gave its pages back is owed them again, where the policy says so.
            h.visit.owed = h.visit.owed || (policies_.repair != abi::Repair::literal && view.mapped(t) == only_p0);
            break;
        case Mark::exit_begin:
            begin_exit(view, t);
            break;
        case Mark::exit_done:
            h.phase = Phase::left;
            break;
        default:
            break;
    }
}

void History::follow_life(const View& view, const engine::MarkStop& mark, ThreadId t) {
    ThreadHistory& h = threads_[t.value()];
    switch (mark.mark) {
        case Mark::switch_to:
            cpus_[view.stop->cpu.value()].switching = true;
            break;
        case Mark::switched:
            cpus_[view.stop->cpu.value()].switching = false;
            break;
        case Mark::thread_exit:
            h.phase = Phase::dead;
            break;
        case Mark::exec:
            h = {};
            start_first_run(h);
            h.execed = true;
            break;
        case Mark::shed:
            h.shedding = true;
            break;
        case Mark::shed_done:
            h.shedding = false;
            h.visit.owed = true;
            break;
        case Mark::stack_free:
            h.phase = Phase::gone;
            break;
        default:
            break;
    }
}

std::uint64_t History::seen(Mark mark, ThreadId t) const {
    const auto at = static_cast<std::size_t>(mark);
    return t.value() < by_thread_.size() && at < mark_limit ? by_thread_[t.value()][at] : 0;
}

std::uint64_t History::seen(Mark mark, CpuId cpu) const {
    const auto at = static_cast<std::size_t>(mark);
    return cpu.value() < by_cpu_.size() && at < mark_limit ? by_cpu_[cpu.value()][at] : 0;
}

}  // namespace stackrig::oracle
