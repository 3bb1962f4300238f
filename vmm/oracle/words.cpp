// Words for the guest's enums, stack pointers, frames and stops, as pictures and reports use them.
#include "vmm/oracle/words.hpp"

#include <fmt/format.h>

#include "vmm/oracle/scene.hpp"

namespace stackrig::oracle {
namespace {

using Where = StackPointer::Where;

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

const char* state_word(abi::ThreadState state) {
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

}  // namespace

const char* kind_text(abi::ThreadKind kind) {
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

std::string state_text(const abi::Thread& thread) {
    return thread.state == abi::ThreadState::blocked ? state_word(thread.state) + wait_text(thread) : std::string(state_word(thread.state));
}

std::string stack_text(const View& view, const StackPointer& at) {
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

std::string doing_text(const ThreadHistory& h) {
    std::string out = name_of(h.phase);
    if (h.visit.entry != abi::Entry::none) {
        out += fmt::format(" ({})", entry_text(h.visit.entry));
    }
    return out;
}

std::string page_owner(const View& view, const History& history, ThreadId t, unsigned page) {
    const Place place{PlaceKind::stack_page, static_cast<std::uint8_t>(page), static_cast<std::uint16_t>(view.thread(t).slot)};
    const Pfn pfn = view.slot_of(t)->page[page].frame();
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
        std::string operator()(const engine::ReturnStop&) const { return "back where an event came"; }
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

}  // namespace stackrig::oracle
