// Where the counts lie, and what they say.
#include "vmm/explore/flush_counts.hpp"

#include "guest/abi/layout.hpp"

namespace stackrig::explore {
namespace {

Gpa physical(std::uint64_t address) {
    return Gpa(address - (address >= abi::kernel_map_base ? abi::kernel_map_base : abi::direct_map_base));
}

}  // namespace

FlushCounts::FlushCounts(Gpa at, const abi::KernelState& state) {
    add(asked_, at + offsetof(abi::KernelState, flush_generation));
    for (std::uint32_t i = 0; i < state.thread_count; ++i) {
        add(asked_, physical(state.threads) + i * sizeof(abi::Thread) + offsetof(abi::Thread, flush_generation));
    }
    for (std::uint32_t cpu = 0; cpu < state.cpus; ++cpu) {
        add(seen_, physical(state.percpu[cpu]) + offsetof(abi::PerCpu, flush_seen));
        add(seen_, physical(state.percpu[cpu]) + offsetof(abi::PerCpu, flush_asked));
    }
}

void FlushCounts::add(std::vector<Gpa>& group, Gpa at) {
    group.push_back(at);
    pages_[to_pfn(at)].push_back(at.value() % page_size);
}

const std::vector<std::size_t>& FlushCounts::in_page(Pfn page) const {
    static const std::vector<std::size_t> none;
    const auto found = pages_.find(page);
    return found == pages_.end() ? none : found->second;
}

std::vector<bool> FlushCounts::unseen(const std::function<std::uint64_t(Gpa)>& read) const {
    std::vector<bool> out;
    for (const Gpa cpu : seen_) {
        for (const Gpa asked : asked_) {
            out.push_back(read(cpu) < read(asked));
        }
    }
    return out;
}

}  // namespace stackrig::explore
