// Drawing a stop.
#include "vmm/oracle/picture.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "vmm/oracle/scene.hpp"

namespace stackrig::oracle {
namespace {

using Where = StackPointer::Where;
constexpr std::size_t columns = 72;

const char* name_of(abi::CpuStack stack) {
    switch (stack) {
        case abi::CpuStack::entry:
            return "entry trampoline";
        case abi::CpuStack::nmi:
            return "NMI IST";
        case abi::CpuStack::df:
            return "#DF IST";
        case abi::CpuStack::db:
            return "#DB IST";
        case abi::CpuStack::mc:
            return "#MC IST";
        case abi::CpuStack::irq:
            return "IRQ";
        case abi::CpuStack::count:
            break;
    }
    return "?";
}

const char* name_of(abi::ThreadKind kind) {
    switch (kind) {
        case abi::ThreadKind::idle:
            return "idle";
        case abi::ThreadKind::kthread:
            return "kthread";
        case abi::ThreadKind::user:
            return "user";
        case abi::ThreadKind::worker:
            return "worker";
    }
    return "?";
}

const char* name_of(abi::ThreadState state) {
    switch (state) {
        case abi::ThreadState::unused:
            return "unused";
        case abi::ThreadState::runnable:
            return "runnable";
        case abi::ThreadState::running:
            return "running";
        case abi::ThreadState::blocked:
            return "blocked";
        case abi::ThreadState::dead:
            return "dead";
        case abi::ThreadState::embryo:
            return "being created";
    }
    return "?";
}

std::string wait_text(const abi::Thread& t) {
    switch (t.wait_kind) {
        case abi::WaitKind::none:
            return "";
        case abi::WaitKind::mutex:
            return fmt::format(" on mutex {}", t.wait_object);
        case abi::WaitKind::event:
            return fmt::format(" on event {}", t.wait_object);
        case abi::WaitKind::pages:
            return " for stack pages";
        case abi::WaitKind::frame:
            return " for a free page";
        case abi::WaitKind::work:
            return " for work";
    }
    return "";
}

std::string clipped(std::string line) {
    if (line.size() > columns) {
        line.resize(columns - 3);
        line += "...";
    }
    return line + "\n";
}

std::string rsp_text(const View& view, const StackPointer& at) {
    switch (at.where) {
        case Where::user:
            return "user memory";
        case Where::kernel_image:
            return "kernel image (boot stack)";
        case Where::cpu_stack:
            return fmt::format("{} stack of {}, {} bytes deep", name_of(at.stack), at.cpu, at.depth);
        case Where::elsewhere:
            return "in no known stack";
        default:
            break;
    }
    std::string whose = fmt::format("slot {}", at.slot.value());
    if (at.slot.value() < view.slots.size() && view.slots[at.slot.value()].owner) {
        whose = name_of(view, *view.slots[at.slot.value()].owner);
    }
    return at.where == Where::guard ? fmt::format("guard below {}'s stack, {} bytes deep", whose, at.depth)
                                    : fmt::format("{}'s stack, P{}, {} bytes deep", whose, at.page, at.depth);
}

std::string stash_lines(std::string_view label, const abi::FrameStash& stash, std::string_view of) {
    std::string line = fmt::format("      {:<8}{}{}", label, stash.count, of);
    const std::uint32_t count = std::min<std::uint32_t>(stash.count, abi::stash_capacity);
    std::string out;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::string frame = fmt::format("{}{:#x}", i == 0 ? ": " : " ", stash.pfn[i]);
        if (line.size() + frame.size() > columns) {
            out += line + "\n";
            line = std::string(16, ' ');
        }
        line += frame;
    }
    return out + line + "\n";
}

std::string doing(const ThreadHistory& h) {
    std::string out = name_of(h.phase);
    if (h.visit.entry != abi::Entry::none) {
        out += fmt::format(" ({})", entry_text(h.visit.entry));
    }
    return out;
}

std::string cpu_block(const View& view, const History& history, const CpuView& cpu,
                      const PictureStyle& style) {
    std::string who = "nobody known";
    if (cpu.running && view.exists(*cpu.running)) {
        who = fmt::format("{}: {}", name_of(view, *cpu.running), doing(history.thread(*cpu.running)));
    }
    std::string out = clipped(
        fmt::format("{}  {}, IF={}{}, {}", cpu.regs.cpu, cpu.regs.user_mode() ? "user mode" : "kernel mode",
                    cpu.regs.irqs_on() ? 1 : 0, cpu.regs.nmi_masked ? ", NMI masked" : "", who));
    if (cpu.running && cpu.current && *cpu.running != *cpu.current) {
        out += clipped(fmt::format("      current {}: wrong", name_of(view, *cpu.current)));
    }
    out += clipped(
        fmt::format("      RIP     {} {}", cpu.regs.rip, style.symbol ? style.symbol(cpu.regs.rip) : ""));
    out += clipped(fmt::format("      RSP     {} {}", cpu.regs.rsp, rsp_text(view, cpu.rsp)));
    if (cpu.readable) {
        out += stash_lines("cache", cpu.belief.cache, "");
        out += stash_lines("reserve", cpu.belief.reserve, fmt::format(" of {}", style.reserve_pages));
        if (cpu.belief.hands.count > 0 || cpu.belief.hook_active != 0) {
            out += stash_lines("hands", cpu.belief.hands, "");
        }
    }
    return out;
}

std::string thread_line(const View& view, const History& history, ThreadId t, std::size_t name_width) {
    const abi::Thread& thread = view.thread(t);
    std::string out = fmt::format("{:<{}}  {} {:<7} {}{}", name_of(view, t), name_width,
                                  strip(view, history, t), name_of(thread.kind), name_of(thread.state),
                                  thread.state == abi::ThreadState::blocked ? wait_text(thread) : "");
    if (thread.kind == abi::ThreadKind::user) {
        out += fmt::format(", {}", doing(history.thread(t)));
    }
    return clipped(out);
}

std::string owner_text(const View& view, const History& history, Place place, Pfn pfn) {
    const FrameSeen seen = view.frames->at(pfn);
    if (seen.solids > 1) {
        const Place other = seen.solid == place ? seen.second : seen.solid;
        return fmt::format("ALSO IN {}", place_text(view, other));
    }
    if (place.page == 0) {
        return "own";
    }
    const Place origin = history.origin(pfn);
    switch (origin.kind) {
        case PlaceKind::cache:
            return fmt::format("cache of cpu{}", origin.owner);
        case PlaceKind::reserve:
            return fmt::format("RESERVE of cpu{}", origin.owner);
        case PlaceKind::free_list:
            return "allocator";
        default:
            return "own";
    }
}

std::string flags_text(Pte pte) {
    return fmt::format("P {} {} {} {}{}{}", pte.writable() ? "RW" : "RO", pte.no_execute() ? "NX" : "X!",
                       pte.user() ? "US" : "--", pte.accessed() ? 'A' : '-', pte.dirty() ? 'D' : '-',
                       pte.global() ? 'G' : '-');
}

/// The RSP that matters for this thread: the CPU's when it runs on its own stack, the saved one otherwise.
std::pair<StackPointer, const char*> pointer_of(const View& view, ThreadId t) {
    for (const CpuView& cpu : view.cpus) {
        if (cpu.running == t) {
            return {cpu.rsp, "RSP"};
        }
    }
    return {locate(Gva(view.thread(t).saved_rsp)), "saved RSP"};
}

std::string page_lines(const View& view, const History& history, ThreadId t) {
    const SlotView* slot = view.slot_of(t);
    if (slot == nullptr) {
        return clipped(fmt::format("    stack slot {} does not exist", view.thread(t).slot));
    }
    const auto [pointer, label] = pointer_of(view, t);
    std::string out;
    for (unsigned i = 0; i < abi::stack_pages; ++i) {
        const Pte pte = slot->page[i];
        const Place place{PlaceKind::stack_page, static_cast<std::uint8_t>(i),
                          static_cast<std::uint16_t>(view.thread(t).slot)};
        std::string line = pte.present()
                               ? fmt::format("    P{} {:>#7x}  {}  {}", i, pte.frame_number(),
                                             flags_text(pte), owner_text(view, history, place, pte.frame()))
                               : fmt::format("    P{}       -  not present", i);
        const bool here = pointer.where == Where::thread_stack &&
                          pointer.slot.value() == view.thread(t).slot && pointer.page == i;
        if (here) {
            line += fmt::format("  <- {}, {} deep", label, pointer.depth);
        }
        out += clipped(line);
    }
    if (slot->guards != 0) {
        out += clipped(fmt::format("    guard pages present: {:#x}", slot->guards));
    }
    return out;
}

bool in_detail(const View& view, const PictureStyle& style, ThreadId t) {
    if (style.everything || std::find(style.focus.begin(), style.focus.end(), t) != style.focus.end()) {
        return true;
    }
    return view.thread(t).kind != abi::ThreadKind::idle &&
           std::any_of(view.cpus.begin(), view.cpus.end(), [t](const CpuView& c) { return c.running == t; });
}

}  // namespace

std::string cause_text(const engine::StopCause& cause) {
    struct Words {
        std::string operator()(const engine::MarkStop& m) const {
            switch (m.mark) {
#define X(name, number, text, args) \
    case abi::Mark::name:           \
        return "mark " text;
                STACKRIG_MARKS(X)
#undef X
            }
            return fmt::format("mark {}", static_cast<unsigned>(m.mark));
        }
        std::string operator()(const engine::UserMarkStop& m) const {
            const char* what = m.mark == abi::UserMark::spin   ? "spin"
                               : m.mark == abi::UserMark::done ? "done"
                                                               : "op";
            return fmt::format("user mark {} {}", what, m.op);
        }
        std::string operator()(const engine::ChoiceStop& c) const {
            const char* what = c.choice == abi::Choice::alloc  ? "alloc"
                               : c.choice == abi::Choice::next ? "next"
                                                               : "resched";
            return fmt::format("choice {} answered {}", what, c.answer);
        }
        std::string operator()(const engine::LandedStop& l) const {
            return fmt::format("event {}", entry_text(l.entry));
        }
        std::string operator()(const engine::BoundaryStop&) const { return "one instruction further"; }
        std::string operator()(const engine::PlaceStop&) const { return "a place of the schedule"; }
        std::string operator()(const engine::HaltStop&) const { return "halt"; }
        std::string operator()(const engine::IpiStop& i) const {
            return i.vector == Vector{0} ? fmt::format("start of {}", i.target)
                                         : fmt::format("IPI {:#x} to {}", i.vector.value(), i.target);
        }
    };
    return std::visit(Words{}, cause);
}

std::string strip(const View& view, const History& history, ThreadId t) {
    const SlotView* slot = view.slot_of(t);
    std::string out = "[....]";
    for (unsigned i = 0; slot != nullptr && i < abi::stack_pages; ++i) {
        if (!slot->page[i].present()) {
            continue;
        }
        const Pfn pfn = slot->page[i].frame();
        const FrameSeen seen = view.frames->at(pfn);
        const bool lent = i > 0 && history.origin(pfn).kind == PlaceKind::reserve;
        out[1 + i] = seen.solids != 1 ? '!' : lent ? 'R' : '#';
    }
    return out;
}

std::string picture(const View& view, const History& history, const PictureStyle& style) {
    if (!view.readable) {
        return "the kernel has not set up its state yet\n";
    }
    std::string out =
        clipped(fmt::format("stop {} on {}: {}", view.stop_index, view.stop_cpu, cause_text(view.cause)));
    for (const CpuView& cpu : view.cpus) {
        out += cpu_block(view, history, cpu, style);
    }
    out += fmt::format("free pages: {}{}\n", view.free_list.size(),
                       view.free_list_broken ? ", list broken" : "");
    std::size_t width = 4;
    for (std::uint32_t id = 0; id < view.threads.size(); ++id) {
        width = std::max(width, name_of(view, ThreadId(id)).size());
    }
    for (std::uint32_t id = 0; id < view.threads.size(); ++id) {
        const ThreadId t{id};
        const bool idle = view.thread(t).kind == abi::ThreadKind::idle;
        const bool detail = view.exists(t) && in_detail(view, style, t);
        if (!view.exists(t) || (idle && !detail)) {
            continue;
        }
        out += thread_line(view, history, t, width);
        if (detail) {
            out += page_lines(view, history, t);
        }
    }
    return out;
}

}  // namespace stackrig::oracle
