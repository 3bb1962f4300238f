// Drawing a stop.
#include "vmm/oracle/picture.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "vmm/oracle/scene.hpp"
#include "vmm/oracle/words.hpp"

namespace stackrig::oracle {
namespace {

using Where = StackPointer::Where;
constexpr std::size_t columns = 72;

std::string clipped(std::string line) {
    if (line.size() > columns) {
        line.resize(columns - 3);
        line += "...";
    }
    return line + "\n";
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

std::string cpu_block(const View& view, const History& history, const CpuView& cpu,
                      const PictureStyle& style) {
    std::string who = "nobody known";
    if (cpu.running && view.exists(*cpu.running)) {
        who = fmt::format("{}: {}", name_of(view, *cpu.running), doing_text(history.thread(*cpu.running)));
    }
    std::string out = clipped(
        fmt::format("{}  {}, IF={}{}, {}", cpu.regs.cpu, cpu.regs.user_mode() ? "user mode" : "kernel mode",
                    cpu.regs.irqs_on() ? 1 : 0, cpu.regs.nmi_masked ? ", NMI masked" : "", who));
    if (cpu.running && cpu.current && *cpu.running != *cpu.current) {
        out += clipped(fmt::format("      current {}: wrong", name_of(view, *cpu.current)));
    }
    out += clipped(
        fmt::format("      RIP     {} {}", cpu.regs.rip, style.symbol ? style.symbol(cpu.regs.rip) : ""));
    out += clipped(fmt::format("      RSP     {} {}", cpu.regs.rsp, stack_text(view, cpu.rsp)));
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
    std::string out = fmt::format("{:<{}}  {} {:<7} {}", name_of(view, t), name_width,
                                  strip(view, history, t), kind_text(thread.kind), state_text(thread));
    if (thread.kind == abi::ThreadKind::user) {
        out += fmt::format(", {}", doing_text(history.thread(t)));
    }
    return clipped(out);
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
        std::string line = pte.present()
                               ? fmt::format("    P{} {:>#7x}  {}  {}", i, pte.frame_number(),
                                             flags_text(pte), page_owner(view, history, t, i))
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
