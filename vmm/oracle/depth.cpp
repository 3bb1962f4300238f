// Sorting stack depths into windows.
#include "vmm/oracle/depth.hpp"

#include <algorithm>
#include <optional>

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
            return "exit-loop";
        case Window::exit:
            return "exit";
        case Window::count:
            break;
    }
    return "?";
}

void DepthTracker::observe(const View& view, const History& history) {
    for (const CpuView& cpu : view.cpus) {
        const bool on_stack = cpu.rsp.where == StackPointer::Where::thread_stack;
        if (!on_stack || cpu.regs.user_mode() || !cpu.running || !view.exists(*cpu.running) ||
            view.thread(*cpu.running).kind != abi::ThreadKind::user) {
            continue;
        }
        const ThreadHistory& h = history.thread(*cpu.running);
        const auto window = window_of(h.phase);
        if (!window) {
            continue;
        }
        DepthSample& sample =
            seen_[static_cast<std::size_t>(h.visit.entry)][static_cast<std::size_t>(*window)];
        sample.entry = h.visit.entry;
        sample.window = *window;
        sample.max_bytes = std::max(sample.max_bytes, cpu.rsp.depth);
        ++sample.samples;
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
