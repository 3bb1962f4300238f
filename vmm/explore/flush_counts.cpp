// Where the counts lie, and what they say.
#include "vmm/explore/flush_counts.hpp"

#include "vmm/oracle/address.hpp"

namespace stackrig::explore {

FlushCounts FlushCounts::of(Gpa at, const abi::KernelState& state, std::uint64_t ram_bytes) {
    FlushCounts counts;
    counts.add(counts.asked_, at + offsetof(abi::KernelState, flush_generation));
    const auto threads = oracle::gpa_of(state.threads, state.thread_count * sizeof(abi::Thread), alignof(abi::Thread), ram_bytes);
    if (!threads || state.cpus > abi::max_cpus) {
        return {};
    }
    for (std::uint32_t i = 0; i < state.thread_count; ++i) {
        counts.add(counts.asked_, *threads + i * sizeof(abi::Thread) + offsetof(abi::Thread, flush_generation));
    }
    for (std::uint32_t cpu = 0; cpu < state.cpus; ++cpu) {
        const auto area = oracle::gpa_of(state.percpu[cpu], sizeof(abi::PerCpu), alignof(abi::PerCpu), ram_bytes);
        if (!area) {
            return {};
        }
        counts.add(counts.seen_, *area + offsetof(abi::PerCpu, flush_seen));
        counts.add(counts.seen_, *area + offsetof(abi::PerCpu, flush_asked));
    }
    return counts;
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
