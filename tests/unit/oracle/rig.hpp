// Runs a fake guest past an oracle: the literal scheme step by step, each step open to sabotage.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tests/unit/oracle/fake_guest.hpp"
#include "vmm/oracle/oracle.hpp"

namespace stackrig::oracle::test {

using abi::Entry;
using abi::Mark;
using abi::StackSource;

/// Remembers the texts for the golden list of all that the tests bring about.
void keep_texts(std::span<const Violation> violations);

class Rig {
  public:
    explicit Rig(const Setup& setup = {}, std::string_view expected = {});
    ~Rig();

    FakeGuest g;
    std::vector<engine::CpuState> cpus;
    Oracle oracle;
    std::vector<Violation> violations;  ///< all of the run
    bool alloc_denied = false;          ///< the allocator's choice point answers no
    bool every_instruction = false;     ///< stops say that they show every one
    std::optional<engine::Invalidation> invalidated;  ///< what the next stop says was executed before it
    bool random = false;                ///< what it brings about is no text to be read: keep_texts() is left out

    // --- stops ---
    void stop(engine::StopCause cause, std::uint32_t cpu = 0);
    void mark(Mark which, std::uint64_t x = 0, std::uint64_t y = 0, std::uint64_t z = 0,
              std::uint32_t cpu = 0);
    void end(engine::Ending ending, std::uint32_t cpu = 0);
    /// A handler that ran: one mark when it had nothing to do, else two.
    void handler(Entry entry, bool from_user, bool nothing_to_do, std::uint32_t cpu = 0);
    void boundary(std::uint32_t cpu = 0) { stop(engine::BoundaryStop{}, cpu); }
    void user_stop(std::uint32_t cpu = 0) { stop(engine::UserMarkStop{abi::UserMark::op, 0}, cpu); }

    // --- CPU states ---
    void in_user(std::uint32_t id, std::uint32_t cpu = 0);
    void in_kernel(std::uint32_t id, bool irqs = false, std::uint64_t depth = 400, std::uint32_t cpu = 0);
    void on_cpu_stack(abi::CpuStack which, std::uint32_t cpu = 0);
    void set_irqs(bool on, std::uint32_t cpu = 0);

    // --- the literal scheme, with its marks ---
    /// Boot is done, idle runs.
    void boot();
    /// `from` leaves the CPU to `to`.
    void switch_to(std::uint32_t from, std::uint32_t to);
    /// First run of a user thread, up to its first user boundary.
    void first_run(std::uint32_t id, std::uint32_t from = idle0);
    /// boot() and first_run(A).
    void boot_to_user();
    /// ENTER in the order cache, GFP_NOWAIT, then owed or reserve.
    void enter(std::uint32_t id, Entry entry);
    /// EXIT without return to user mode.
    void exit(std::uint32_t id);
    /// Return to user mode and stop there.
    void leave(std::uint32_t id);
    /// irq.on with IRQs on.
    void irq_on(std::uint32_t id, Entry entry);
    /// `id`, which owes nobody anything, goes to sleep in the kernel; `to` runs.
    void sleep(std::uint32_t id, abi::WaitKind kind, std::uint32_t object = 0, std::uint32_t to = idle0);
    /// Enters by a system call, gets no page, waits; idle runs.
    void wait_for_pages(std::uint32_t id);
    void map_hands(std::uint32_t id);

    [[nodiscard]] bool fired(Inv inv) const;
    /// "INV-4: text" of all violations, for failure messages.
    [[nodiscard]] std::string all() const;

  private:
    bool take(std::uint32_t id, abi::FrameStash& stash, StackSource source);
    bool take_free(std::uint32_t id);
    bool take_ordinary(std::uint32_t id);

    std::uint64_t index_ = 0;
};

/// The run broke `inv`, and nothing else.
#define EXPECT_ONLY(rig, inv_)                                  \
    do {                                                        \
        EXPECT_TRUE((rig).fired(inv_)) << (rig).all();          \
        for (const auto& v : (rig).violations) {                \
            EXPECT_EQ(v.id, invariant(inv_).id) << (rig).all(); \
        }                                                       \
    } while (false)
#define EXPECT_FIRED(rig, inv_) EXPECT_TRUE((rig).fired(inv_)) << (rig).all()
#define ASSERT_FIRED(rig, inv_) ASSERT_TRUE((rig).fired(inv_)) << (rig).all()
#define EXPECT_CLEAN(rig) EXPECT_TRUE((rig).violations.empty()) << (rig).all()
#define EXPECT_EXAMINED(rig, inv_) EXPECT_GT((rig).oracle.examined(inv_).applicable, 0u) << invariant(inv_).id

}  // namespace stackrig::oracle::test
