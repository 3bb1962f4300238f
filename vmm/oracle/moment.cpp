// From the view of a stop to data.
#include "vmm/oracle/moment.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace stackrig::oracle {
namespace {

using Where = StackPointer::Where;

Context on_cpu_stack(abi::CpuStack stack) {
    switch (stack) {
        case abi::CpuStack::nmi: return Context::nmi;
        case abi::CpuStack::df: return Context::double_fault;
        case abi::CpuStack::db: return Context::debug;
        case abi::CpuStack::mc: return Context::machine_check;
        case abi::CpuStack::irq: return Context::irq;
        case abi::CpuStack::entry:
        case abi::CpuStack::count: break;
    }
    return Context::entry;
}

/// On a thread's own stack the entry decides, except on the ways in and out.
Context on_thread_stack(const ThreadHistory& thread) {
    switch (thread.phase) {
        case Phase::entry:
        case Phase::enter: return Context::entry;
        case Phase::exit:
        case Phase::left: return Context::exit;
        case Phase::nmi: return Context::nmi;
        default: break;
    }
    switch (thread.visit.entry) {
        case abi::Entry::timer:
        case abi::Entry::device: return Context::irq;
        case abi::Entry::nmi: return Context::nmi;
        case abi::Entry::machine_check: return Context::machine_check;
        default: return Context::kernel;
    }
}

std::vector<std::uint32_t> frames_of(const abi::FrameStash& stash) {
    const std::uint32_t count = std::min<std::uint32_t>(stash.count, abi::stash_capacity);
    return {stash.pfn, stash.pfn + count};
}

const char* kind_of(const engine::StopCause& cause) {
    constexpr const char* names[] = {"mark", "user", "choice", "event", "step", "place", "halt", "ipi", "return"};
    static_assert(std::size(names) == std::variant_size_v<engine::StopCause>);
    return names[cause.index()];
}

MomentCpu cpu_moment(const View& view, const History& history, const CpuView& cpu, const std::function<std::string(Gva)>& symbol) {
    MomentCpu out{.regs = cpu.regs, .context = context_of(view, history, cpu), .symbol = symbol(cpu.regs.rip),
                  .stack = stack_text(view, cpu.rsp)};
    if (cpu.running && view.exists(*cpu.running)) {
        out.thread = name_of(view, *cpu.running);
        out.doing = doing_text(history.thread(*cpu.running));
    }
    if (cpu.readable) {
        out.cache = frames_of(cpu.belief.cache);
        out.reserve = frames_of(cpu.belief.reserve);
        out.hands = frames_of(cpu.belief.hands);
    }
    return out;
}

std::string whose(const View& view, SlotId slot) {
    for (std::uint32_t id = 0; id < view.threads.size(); ++id) {
        if (view.exists(ThreadId(id)) && view.thread(ThreadId(id)).slot == slot.value()) {
            return std::string(name_of(view, ThreadId(id)));
        }
    }
    return fmt::format("slot {}", slot.value());  // whoever had it is gone
}

std::vector<std::string> stale_on(const View& view, const TlbModel& tlb, CpuId cpu) {
    std::vector<std::string> out;
    for (const Stale& stale : tlb.all_stale()) {
        if (stale.held_by(cpu)) {
            out.push_back(fmt::format("P{} of {} -> {:#x}, {}", stale.page.page, whose(view, stale.page.slot), stale.frame.value(),
                                      (stale.demand & only(cpu)) != 0 ? "used before" : "may have been filled ahead"));
        }
    }
    return out;
}

MomentThread thread_moment(const View& view, const History& history, ThreadId t) {
    const abi::Thread& thread = view.thread(t);
    MomentThread out{.name = std::string(name_of(view, t)), .kind = kind_text(thread.kind), .state = state_text(thread),
                     .doing = doing_text(history.thread(t)),
                     .slot = thread.slot};
    StackPointer pointer = locate(Gva(thread.saved_rsp));
    for (const CpuView& cpu : view.cpus) {
        if (cpu.running == t) {
            out.cpu = static_cast<std::int32_t>(cpu.regs.cpu.value());
            pointer = cpu.rsp;
        }
    }
    out.on_own_stack = (pointer.where == Where::thread_stack || pointer.where == Where::guard) && pointer.slot.value() == thread.slot;
    out.depth = out.on_own_stack ? pointer.depth : 0;
    if (const SlotView* slot = view.slot_of(t)) {
        out.guards = slot->guards;
        for (unsigned i = 0; i < abi::stack_pages; ++i) {
            out.pages[i] = {slot->page[i].raw, slot->page[i].present() ? page_owner(view, history, t, i) : ""};
        }
    }
    return out;
}

}  // namespace

const char* name_of(Context context) {
    switch (context) {
        case Context::boot: return "boot";
        case Context::idle: return "idle";
        case Context::user: return "user";
        case Context::entry: return "entry";
        case Context::kernel: return "kernel";
        case Context::exit: return "exit";
        case Context::irq: return "irq";
        case Context::nmi: return "nmi";
        case Context::machine_check: return "mc";
        case Context::debug: return "debug";
        case Context::double_fault: return "df";
    }
    return "?";
}

Context context_of(const View& view, const History& history, const CpuView& cpu) {
    if (cpu.regs.user_mode()) {
        return Context::user;
    }
    if (cpu.rsp.where == Where::cpu_stack) {
        return on_cpu_stack(cpu.rsp.stack);
    }
    if (!cpu.running || !view.exists(*cpu.running)) {
        return cpu.rsp.where == Where::kernel_image ? Context::boot : Context::kernel;
    }
    return view.thread(*cpu.running).kind == abi::ThreadKind::idle ? Context::idle : on_thread_stack(history.thread(*cpu.running));
}

Moment moment_of(const View& view, const History& history, const TlbModel& tlb, const std::function<std::string(Gva)>& symbol) {
    Moment out{.stop = view.stop_index, .step = view.stop == nullptr ? 0 : view.stop->step, .cpu = view.stop_cpu.value(),
               .kind = kind_of(view.cause), .cause = cause_text(view.cause)};
    if (const auto* ipi = std::get_if<engine::IpiStop>(&view.cause)) {
        out.target = static_cast<std::int32_t>(ipi->target.value());
    }
    if (!view.readable) {
        return out;
    }
    for (const CpuView& cpu : view.cpus) {
        out.cpus.push_back(cpu_moment(view, history, cpu, symbol));
        out.cpus.back().stale = stale_on(view, tlb, cpu.regs.cpu);
    }
    for (std::uint32_t id = 0; id < view.threads.size(); ++id) {
        if (view.exists(ThreadId(id))) {
            out.threads.push_back(thread_moment(view, history, ThreadId(id)));
        }
    }
    out.free_pages = view.free_list.size();
    return out;
}

}  // namespace stackrig::oracle
