// Sorting stack depths into windows.
#include "vmm/oracle/depth.hpp"

#include <algorithm>
#include <optional>

#include "vmm/oracle/address.hpp"

namespace stackrig::oracle {
namespace {

std::optional<Window> window_of(Phase phase) {
    switch (phase) {
        case Phase::entry:
        case Phase::enter:
        case Phase::nmi:
            return Window::entry;
        case Phase::owed:
        case Phase::wait:
            return Window::wait;
        case Phase::first:
        case Phase::kernel:
        case Phase::dead:
            return Window::kernel;
        case Phase::loop:
            return Window::loop;
        case Phase::exit:
        case Phase::left:
            return Window::exit;
        default:
            return std::nullopt;
    }
}

}  // namespace

const char* name_of(Window window) {
    switch (window) {
        case Window::entry:
            return "entry";
        case Window::wait:
            return "wait";
        case Window::kernel:
            return "kernel";
        case Window::loop:
            return "loop";
        case Window::exit:
            return "exit";
        case Window::switched_out:
            return "switch";
        case Window::count:
            break;
    }
    return "?";
}

void DepthTracker::sample(const View& view, const History& history, ThreadId thread, Window window, std::uint64_t depth) {
    if (!view.exists(thread) || view.thread(thread).kind != abi::ThreadKind::user) {
        return;
    }
    const abi::Entry entry = history.thread(thread).visit.entry;
    DepthSample& sample = seen_[static_cast<std::size_t>(entry)][static_cast<std::size_t>(window)];
    sample.entry = entry;
    sample.window = window;
    sample.max_bytes = std::max(sample.max_bytes, depth);
    ++sample.samples;
}

void DepthTracker::observe(const View& view, const History& history) {
    for (const CpuView& cpu : view.cpus) {
        const bool on_stack = cpu.rsp.where == StackPointer::Where::thread_stack;
        if (!on_stack || cpu.regs.user_mode() || !cpu.running || !view.exists(*cpu.running)) {
            continue;
        }
        if (const auto window = window_of(history.thread(*cpu.running).phase)) {
            sample(view, history, *cpu.running, *window, cpu.rsp.depth);
        }
    }
    const auto* mark = std::get_if<engine::MarkStop>(&view.cause);
    if (mark == nullptr || mark->mark != abi::Mark::switched) {
        return;
    }
    const ThreadId left(static_cast<std::uint32_t>(mark->args[0]));
    const StackPointer saved = view.exists(left) ? locate(Gva(view.thread(left).saved_rsp)) : StackPointer{};
    if (saved.where == StackPointer::Where::thread_stack) {
        sample(view, history, left, Window::switched_out, saved.depth);
    }
}

std::vector<DepthSample> DepthTracker::samples() const {
    std::vector<DepthSample> out;
    for (const auto& entry : seen_) {
        for (const DepthSample& sample : entry) {
            if (sample.samples > 0) {
                out.push_back(sample);
            }
        }
    }
    return out;
}

}  // namespace stackrig::oracle
