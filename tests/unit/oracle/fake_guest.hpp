// Guest memory made by hand: page tables, threads, per-CPU areas and frames, as the kernel would lay them
// out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "guest/abi/state.hpp"
#include "vmm/base/phys_memory.hpp"
#include "vmm/engine/plan.hpp"

namespace stackrig::oracle::test {

/// RAM in a buffer.
class Ram : public PhysMemory {
  public:
    explicit Ram(std::uint64_t bytes) : lines_(bytes / sizeof(Line)) {}
    [[nodiscard]] bool read(Gpa from, std::span<std::byte> into) const override;
    [[nodiscard]] std::uint64_t size_bytes() const override { return lines_.size() * sizeof(Line); }
    template <class T>
    T& at(std::uint64_t pa) {
        return *reinterpret_cast<T*>(reinterpret_cast<std::byte*>(lines_.data()) + pa);
    }

  private:
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    std::vector<Line> lines_;  // as aligned as the guest's strictest structure
};

struct Setup {
    abi::Scheme scheme = abi::Scheme::entry_exit;
    std::uint32_t cpus = 1;
    std::uint32_t cache = 3;
    std::uint32_t reserve = 3;
    std::uint32_t free = 6;
    std::uint32_t more_users = 0;  ///< user threads besides A and B, named U, after K
    std::uint32_t bail_outs = 0;
    std::vector<engine::ThreadPlan> threads;  ///< programs of A, B, K and so on
    abi::Policies policies = {.cache_cap = abi::stash_capacity};
};

/// Threads of every fake guest. One idle thread per CPU comes first; slot = id.
inline constexpr std::uint32_t idle0 = 0;

class FakeGuest {
  public:
    explicit FakeGuest(const Setup& setup);

    Ram ram;
    static constexpr std::uint64_t ram_bytes = 8u << 20;
    static constexpr std::uint64_t state_pa = 0x100000;
    static constexpr std::uint64_t threads_pa = 0x110000;
    static constexpr std::uint64_t percpu_pa = 0x120000;
    static constexpr std::uint64_t frames_pa = 0x130000;
    static constexpr std::uint64_t text_pa = 0x140000;

    // Ids: idle threads 0..cpus-1, then A and B (user), K (kthread).
    std::uint32_t a;
    std::uint32_t b;
    std::uint32_t k;

    abi::KernelState& state() { return ram.at<abi::KernelState>(state_pa); }
    abi::Thread& thread(std::uint32_t id) {
        return ram.at<abi::Thread>(threads_pa + id * sizeof(abi::Thread));
    }
    abi::PerCpu& cpu(std::uint32_t id = 0) {
        return ram.at<abi::PerCpu>(percpu_pa + id * sizeof(abi::PerCpu));
    }
    abi::Frame& frame(std::uint32_t pfn) { return ram.at<abi::Frame>(frames_pa + pfn * sizeof(abi::Frame)); }
    static std::uint64_t thread_pointer(std::uint32_t id) {
        return abi::kernel_map_base + threads_pa + id * sizeof(abi::Thread);
    }

    /// The leaf PTE for any address in the stack area.
    std::uint64_t& pte(std::uint64_t va);
    std::uint64_t& page(std::uint32_t id, unsigned index) {
        return pte(abi::stack_page(thread(id).slot, index));
    }
    std::uint32_t pfn_of(std::uint32_t id, unsigned index);
    void map(std::uint32_t id, unsigned index, std::uint32_t pfn);

    std::uint32_t alloc(abi::FrameUse use);  ///< pops the free list; 0 when it is empty
    void free(std::uint32_t pfn);
    static void push(abi::FrameStash& stash, std::uint32_t pfn);
    static std::uint32_t pop(abi::FrameStash& stash);

  private:
    std::uint64_t new_table();
    void link(std::uint64_t root, std::uint64_t va);
    std::uint32_t new_stack_frame();
    void add_thread(const char* name, abi::ThreadKind kind, abi::ThreadState state);

    std::uint64_t next_table_ = 0x200000;
    std::uint32_t next_frame_ = 0x400;
};

}  // namespace stackrig::oracle::test
