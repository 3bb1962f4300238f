// Snapshots of a whole machine: what a Snapshot holds, and the keeper that takes, restores and checks them.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/machine/cpu_snapshot.hpp"
#include "vmm/machine/machine.hpp"
#include "vmm/machine/table_pages.hpp"

namespace stackrig::machine {

/// The machine between two instructions. Pages that did not change since another snapshot are shared with it, so snapshots can
/// be copied and can form a tree. Only for the Snapshots that took it.
class Snapshot {
  public:
    [[nodiscard]] const CpuSnapshot& cpu(CpuId id) const { return cpus_[id.value()]; }

  private:
    friend class Snapshots;
    using Page = std::array<std::byte, page_size>;
    using PageRef = std::shared_ptr<const Page>;
    std::vector<CpuSnapshot> cpus_;
    std::vector<PageRef> pages_;  // parallel to Snapshots::suspects_; those found later were still as at the beginning
};

/// Takes and restores snapshots of one machine. Which pages may have changed is known from KVM's dirty log, which is kept and
/// never cleared (a page once written stays suspect), and from the VMM's own writes (F4). Suspects are then compared byte by
/// byte, so what is restored and what is called equal does not rest on the log's precision, only on its completeness.
/// Patches are not part of a snapshot: they stay as they are, over the restored bytes. Between begin() and the end nobody else
/// may take the dirty log or Memory::forget_host_written().
class Snapshots {
  public:
    /// Copies all of RAM once. One at a time per machine.
    static Result<std::unique_ptr<Snapshots>> begin(Machine& machine);
    ~Snapshots();
    Snapshots(const Snapshots&) = delete;
    Snapshots& operator=(const Snapshots&) = delete;

    /// Every vCPU must stand at a boundary.
    [[nodiscard]] Result<Snapshot> take();

    /// Every vCPU and every page as they were. The guest's translations are flushed when a page of its page tables changed:
    /// one below a root that a CPU had at a take(), at a restore(), or in Machine::roots().
    [[nodiscard]] Result<void> restore(const Snapshot& to);
    /// Drops whatever KVM and the CPUs hold of the guest's page tables: for who knows that they may hold what the tables do not
    /// say. Before restore(), for it changes CR4 for a moment.
    [[nodiscard]] Result<void> flush_translations();

    /// The pages of RAM that are not as in `than` now. At most `most`.
    [[nodiscard]] Result<std::vector<Pfn>> differing(const Snapshot& than, std::size_t most);

    /// The bytes of a page in a snapshot.
    [[nodiscard]] std::span<const std::byte> page_of(const Snapshot& snapshot, Pfn page) const;

    /// Self-check: all RAM, suspects or not, all registers and the FPU against `should_be`. The first difference in words;
    /// empty when there is none.
    [[nodiscard]] Result<std::string> verify(const Snapshot& should_be) const;

    /// Pages found to have been written since begin().
    [[nodiscard]] std::size_t suspects() const { return suspects_.size(); }

  private:
    using Page = Snapshot::Page;
    using PageRef = Snapshot::PageRef;
    explicit Snapshots(Machine& machine) : machine_(machine), tables_(machine.memory().pages()) {}
    [[nodiscard]] Result<void> look_for_suspects();
    [[nodiscard]] std::uint64_t changes() const;
    [[nodiscard]] const Page& base_page(std::size_t page) const;
    [[nodiscard]] const Page& wanted(const Snapshot& snapshot, std::size_t suspect) const;
    [[nodiscard]] PageRef ref(const Snapshot& snapshot, std::size_t suspect) const;
    /// The guest's own bytes of a page: those in RAM, or a copy without patches.
    [[nodiscard]] const Page& own_bytes(std::size_t page, Page& room) const;
    [[nodiscard]] Result<void> put(std::size_t page, const Page& bytes);
    void follow_tables();

    Machine& machine_;
    std::shared_ptr<const std::vector<std::byte>> base_;  // all of RAM at begin(), without patches
    std::vector<kvm::Fpu> fpus_;
    std::vector<std::size_t> suspects_;      // pages by number from the first of RAM, in the order they were found
    std::vector<std::int32_t> suspect_at_;   // by page: index into suspects_, or -1
    std::vector<PageRef> current_;           // parallel to suspects_: what the page was last seen to hold
    std::vector<bool> held_;                 // parallel to suspects_: it held that when changes() was held_at_
    std::optional<std::uint64_t> held_at_;
    std::vector<std::uint64_t> log_;
    std::optional<std::uint64_t> looked_at_;  // changes() at the last look for suspects
    TablePages tables_;
    std::size_t roots_followed_ = 0;  // of Machine::roots()
};

}  // namespace stackrig::machine
