// Counts of remote flushes: found where the guest has them, and compared by who has not seen which.
#include "vmm/explore/flush_counts.hpp"

#include <gtest/gtest.h>
#include <map>

#include "guest/abi/layout.hpp"

namespace stackrig::explore {
namespace {

constexpr Gpa kernel_state{0x3000};
constexpr Gpa threads{0x5000};
constexpr std::uint64_t ram_bytes = 1 << 20;
constexpr Gpa percpu[] = {Gpa{0x8000}, Gpa{0x8000} + sizeof(abi::PerCpu)};

/// A machine of two CPUs and three threads, of which only the counts are looked at.
class CountedMachine {
  public:
    [[nodiscard]] static FlushCounts counts() {
        abi::KernelState state{};
        state.cpus = 2;
        state.thread_count = 3;
        state.threads = abi::direct_map_base + threads.value();
        state.percpu[0] = abi::kernel_map_base + percpu[0].value();  // in the image, as the boot CPU's is
        state.percpu[1] = abi::direct_map_base + percpu[1].value();
        return FlushCounts::of(kernel_state, state, ram_bytes);
    }
    void latest(std::uint64_t count) { put(kernel_state + offsetof(abi::KernelState, flush_generation), count); }
    void of_thread(unsigned i, std::uint64_t count) { put(threads + i * sizeof(abi::Thread) + offsetof(abi::Thread, flush_generation), count); }
    void seen_by(unsigned cpu, std::uint64_t count) { put(percpu[cpu] + offsetof(abi::PerCpu, flush_seen), count); }
    void flushing(unsigned cpu, std::uint64_t count) { put(percpu[cpu] + offsetof(abi::PerCpu, flush_asked), count); }
    [[nodiscard]] std::vector<bool> unseen() const {
        return counts().unseen([this](Gpa at) { return words_.contains(at) ? words_.at(at) : 0; });
    }

  private:
    void put(Gpa at, std::uint64_t count) { words_[at] = count; }
    std::map<Gpa, std::uint64_t> words_;
};

TEST(FlushCounts, LieWhereTheGuestHasThem) {
    const FlushCounts counts = CountedMachine::counts();
    EXPECT_EQ(counts.in_page(Pfn(3)), std::vector<std::size_t>{offsetof(abi::KernelState, flush_generation)});
    EXPECT_EQ(counts.in_page(Pfn(5)), (std::vector<std::size_t>{offsetof(abi::Thread, flush_generation), sizeof(abi::Thread) + offsetof(abi::Thread, flush_generation),
                                                                2 * sizeof(abi::Thread) + offsetof(abi::Thread, flush_generation)}));
    EXPECT_EQ(counts.in_page(Pfn(8)), (std::vector<std::size_t>{offsetof(abi::PerCpu, flush_seen), offsetof(abi::PerCpu, flush_asked),
                                                                sizeof(abi::PerCpu) + offsetof(abi::PerCpu, flush_seen), sizeof(abi::PerCpu) + offsetof(abi::PerCpu, flush_asked)}));
    EXPECT_TRUE(counts.in_page(Pfn(4)).empty());
}

TEST(FlushCounts, AGuestThatPointsOutOfRamHasNone) {
    abi::KernelState state{};
    state.cpus = 1;
    state.thread_count = 1;
    state.threads = abi::direct_map_base + threads.value();
    state.percpu[0] = abi::direct_map_base + ram_bytes;
    const FlushCounts counts = FlushCounts::of(kernel_state, state, ram_bytes);
    EXPECT_TRUE(counts.in_page(to_pfn(kernel_state)).empty()) << "also what would have been good is compared as it is";
    EXPECT_TRUE(counts.in_page(to_pfn(threads)).empty());
}

TEST(FlushCounts, HowOftenWasCountedMeansNothing) {
    CountedMachine few;
    few.latest(2);
    few.of_thread(1, 2);
    few.seen_by(0, 2);
    few.seen_by(1, 1);
    few.flushing(0, 2);
    few.flushing(1, 1);
    CountedMachine many;
    many.latest(90);
    many.of_thread(0, 7);  // everybody has seen that, as everybody has seen the 0 of the other machine
    many.of_thread(1, 90);
    many.seen_by(0, 90);
    many.seen_by(1, 89);
    many.flushing(0, 90);
    many.flushing(1, 89);
    EXPECT_EQ(few.unseen(), many.unseen());
}

TEST(FlushCounts, WhoHasNotSeenWhichDoes) {
    CountedMachine a;
    a.latest(2);
    a.of_thread(1, 2);
    a.of_thread(2, 1);
    a.seen_by(0, 2);
    a.seen_by(1, 1);
    CountedMachine seen = a;
    seen.seen_by(1, 2);
    EXPECT_NE(a.unseen(), seen.unseen()) << "cpu1 owes a flush, and does not";
    CountedMachine other = a;
    other.of_thread(2, 2);
    EXPECT_NE(a.unseen(), other.unseen()) << "cpu1 has seen the unmap of thread 2, and has not";
    a.flushing(1, 2);
    CountedMachine raised = a;
    raised.latest(3);
    raised.of_thread(1, 3);
    EXPECT_NE(a.unseen(), raised.unseen()) << "what cpu1 is flushing will be the latest, and will not";
}

}  // namespace
}  // namespace stackrig::explore
