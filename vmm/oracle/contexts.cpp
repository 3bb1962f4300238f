// Comparing contexts before and after events.
#include "vmm/oracle/contexts.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "vmm/oracle/families.hpp"
#include "vmm/x86/frames.hpp"
#include "vmm/x86/paging.hpp"

namespace stackrig::oracle {
namespace contexts {
namespace {

constexpr std::string_view file = "vmm/oracle/contexts.cpp";
constexpr unsigned everywhere = under_fixed | under_entry_exit;

constexpr Invariant all[] = {
    {Inv::i12, "I12", "an interrupted context comes back as it was", "", "",
     "When the code that an NMI, a machine check, a debug exception or an interrupt interrupted goes on, all "
     "general registers, "
     "RFLAGS (RF and TF apart), RSP and the GS base are what they were; CR2 too when it was kernel code.",
     "From the handler's first instruction after an injected event to the first instruction boundary back at "
     "the interrupted "
     "RIP and RSP: always for kernel code, for user code where every instruction is checked.",
     file, Basis::rig, everywhere},
    {Inv::i13, "I13", "no event overwrites the frame of another", "", "",
     "While a CPU runs on its NMI, #DF, #DB or #MC stack, the frame at the top of that stack does not point "
     "into the same "
     "stack: it would have been pushed over the frame of the first event.",
     "At each stop with RSP in such a stack, the frame at its top.", file, Basis::rig, everywhere},
};

}  // namespace

std::span<const Invariant> rows() { return all; }

}  // namespace contexts

namespace {

constexpr std::uint64_t compared_flags = ~(std::uint64_t{1} << 16 | std::uint64_t{1} << 8);  // but RF and TF
constexpr std::size_t gpr_rsp = 7;
constexpr const char* gpr_names[16] = {"RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "RSP",
                                       "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};

/// Events that whoever they interrupt must not notice.
bool transparent(abi::Entry entry) {
    switch (entry) {
        case abi::Entry::nmi:
        case abi::Entry::machine_check:
        case abi::Entry::debug:
        case abi::Entry::timer:
        case abi::Entry::device:
        case abi::Entry::reschedule:
        case abi::Entry::call_function:
            return true;
        default:
            return false;
    }
}

std::optional<x86::InterruptFrame> frame_at(const Scene& s, const CpuView& cpu, Gva at) {
    const x86::Walk walk = x86::walk(s.view.stop->memory, x86::root_of(cpu.regs.cr3.value()), at);
    return walk.mapped() ? s.view.stop->memory.read_as<x86::InterruptFrame>(walk.physical) : std::nullopt;
}

/// A kernel stack pointer says whose context it is. Where it does not, the thread must be the same: user stacks may lie at the same
/// addresses. (In the middle of a switch who runs is a matter of where one looks: from another stack, the last thread still does.)
bool back_at(const Interrupted& was, const CpuView& cpu) {
    const auto where = locate(was.rsp).where;
    const bool own = where == StackPointer::Where::thread_stack || where == StackPointer::Where::cpu_stack;
    return cpu.regs.rip == was.rip && cpu.regs.rsp == was.rsp && (cpu.regs.cs & 3) == (was.cs & 3) &&
           (own || cpu.running == was.thread);
}

/// It cannot come back any more without having been seen.
bool is_over(const Interrupted& was, const Scene& s) {
    const CpuView& here = s.view.here();
    if (was.thread && !s.view.alive(*was.thread)) {
        return true;
    }
    if (here.running != was.thread || (!was.thread && here.regs.cpu != was.cpu)) {
        return false;
    }
    if (was.user_mode()) {
        return here.regs.user_mode() || s.history.turn().arrived == was.thread;
    }
    const StackPointer then = locate(was.rsp);
    const bool same_stack =
        here.rsp.where == then.where && here.rsp.slot == then.slot && here.rsp.stack == then.stack;
    return here.regs.user_mode() || (same_stack && here.regs.rsp > was.rsp);
}

std::string differences(const Interrupted& was, const engine::CpuState& now) {
    std::string text;
    const auto compare = [&text](const char* name, std::uint64_t before, std::uint64_t after) {
        if (before != after) {
            text +=
                fmt::format("{}{} is {:#x} instead of {:#x}", text.empty() ? "" : ", ", name, after, before);
        }
    };
    for (std::size_t i = 0; i < was.gpr.size(); ++i) {
        if (i != gpr_rsp) {
            compare(gpr_names[i], was.gpr[i], now.gpr[i]);
        }
    }
    compare("RFLAGS", was.rflags & compared_flags, now.rflags & compared_flags);
    if (now.cpu == was.cpu) {
        compare("GS base", was.gs_base.value(), now.gs_base.value());
    }
    if (!was.user_mode()) {
        compare("CR2", was.cr2.value(), now.cr2.value());
    }
    return text;
}

}  // namespace

void Contexts::observe(const Scene& s) {
    check_return(s);
    std::erase_if(open_, [&s](const Interrupted& was) { return is_over(was, s); });
    if (const auto* landed = std::get_if<engine::LandedStop>(&s.view.stop->cause)) {
        land(s, *landed);
    }
    check_frames(s);
}

void Contexts::land(const Scene& s, const engine::LandedStop& landed) {
    const CpuView& here = s.view.here();
    const auto frame = transparent(landed.entry) ? frame_at(s, here, here.regs.rsp) : std::nullopt;
    if (!frame) {
        return;
    }
    open_.push_back({here.running, here.regs.cpu, landed.entry, Gva(frame->rip), Gva(frame->rsp),
                     static_cast<std::uint16_t>(frame->cs), frame->rflags, here.regs.cr2, here.regs.gs_base,
                     here.regs.gpr});
}

void Contexts::check_return(const Scene& s) {
    const bool exact = std::holds_alternative<engine::ReturnStop>(s.view.stop->cause) ||
                       std::holds_alternative<engine::BoundaryStop>(s.view.stop->cause);
    const CpuView& here = s.view.here();
    for (auto was = open_.begin(); exact && was != open_.end();) {
        if (!back_at(*was, here)) {
            ++was;
            continue;
        }
        s.judge.examine(Inv::i12);
        const std::string text = differences(*was, here.regs);
        if (!text.empty()) {
            s.judge.report(Inv::i12, was->thread ? std::vector{*was->thread} : std::vector<ThreadId>{},
                           fmt::format("context at {}", was->rip),
                           fmt::format("{} is back at {} after {}, but {}.", here.regs.cpu, was->rip,
                                       entry_text(was->entry), text));
        }
        was = open_.erase(was);
    }
}

void Contexts::check_frames(const Scene& s) {
    for (const CpuView& cpu : s.view.cpus) {
        const bool ist = cpu.rsp.where == StackPointer::Where::cpu_stack &&
                         cpu.rsp.stack != abi::CpuStack::entry && cpu.rsp.stack != abi::CpuStack::irq;
        if (!cpu.online || !ist || cpu.rsp.depth < sizeof(x86::InterruptFrame) ||
            !s.judge.examine(Inv::i13)) {
            continue;
        }
        const Gva top(abi::cpu_stack_top(cpu.rsp.cpu.value(), cpu.rsp.stack));
        const auto frame = frame_at(s, cpu, top - sizeof(x86::InterruptFrame));
        const StackPointer below = frame ? locate(Gva(frame->rsp)) : StackPointer{};
        if (below.where == StackPointer::Where::cpu_stack && below.stack == cpu.rsp.stack &&
            below.cpu == cpu.rsp.cpu && below.depth > 0) {
            s.judge.report(Inv::i13, cpu.running ? std::vector{*cpu.running} : std::vector<ThreadId>{},
                           fmt::format("frame at {}", top),
                           fmt::format("The frame at the top of {}'s stack at {} interrupted code on that "
                                       "same stack (RSP {:#x}): the "
                                       "frame that was there is lost.",
                                       cpu.regs.cpu, top, frame->rsp));
        }
    }
}

}  // namespace stackrig::oracle
