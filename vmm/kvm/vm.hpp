// Vm: one virtual machine: its memory slots and dirty logs, and the maker of its vCPUs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/fd.hpp"
#include "vmm/kvm/mapping.hpp"
#include "vmm/kvm/vcpu.hpp"
#include "vmm/kvm/watchdog.hpp"

namespace stackrig::kvm {

/// Number of a memory slot, 0 .. NR_MEMSLOTS - 2 (the last one is kept for Vm::zap()).
using SlotId = Strong<struct SlotIdTag, std::uint16_t>;

/// One memory slot (api.rst 4.35): `host` appears to the guest at `base`. Base and size are whole pages.
struct Slot {
    SlotId id;
    Gpa base;
    std::span<std::byte> host;
    bool read_only = false;  ///< guest writes exit as MmioWrite; needs readonly_mem
    bool dirty_log = false;
};

/// A virtual machine without an in-kernel interrupt controller: HLT exits, interrupts come from the VMM only.
class Vm final {
  public:
    /// Adds a slot. Error: rig when the id is in use, host for what the kernel refuses (overlap, limits).
    [[nodiscard]] Result<void> add_slot(const Slot& slot);

    /// Deletes the slot of that id, then adds this one in its place.
    [[nodiscard]] Result<void> replace_slot(const Slot& slot);

    [[nodiscard]] Result<void> delete_slot(SlotId id);

    [[nodiscard]] Result<void> set_dirty_log(SlotId id, bool on);

    /// From here on, where the kernel can do it (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2), take_dirty_log() leaves the log as it
    /// is: a page once written stays in it, and writing it costs no fault any more. Call it before any log is on. Error: host,
    /// for anything but that the kernel lacks it.
    [[nodiscard]] Result<void> keep_dirty_logs();

    /// Fetches and, unless kept, clears the slot's log into `bits` (resized to one bit per page, bit n of word n / 64).
    /// Pages written by the host are not in it (F4), see Memory::host_written().
    [[nodiscard]] Result<void> take_dirty_log(SlotId id, std::vector<std::uint64_t>& bits);

    /// Drops every shadow page-table entry by adding and deleting a dummy slot: needed with npt=0 (or no EPT)
    /// after the host rewrote guest page tables (F4). About 115 us in the virtual host.
    [[nodiscard]] Result<void> zap();

    /// Creates the vCPU with that id. It must not outlive the process's use of its memory slots.
    [[nodiscard]] Result<Vcpu> create_vcpu(CpuId id);

  private:
    friend class System;
    Vm(Fd fd, std::size_t run_size, std::shared_ptr<Watchdog> watchdog, Mapping dummy,
       std::uint16_t zap_slot);
    [[nodiscard]] Result<void> set_region(const Slot& slot, std::uint64_t bytes) const;
    [[nodiscard]] Result<Slot*> find(SlotId id, const char* call);

    Fd fd_;
    std::size_t run_size_;
    std::shared_ptr<Watchdog> watchdog_;
    Mapping dummy_page_;
    std::uint16_t zap_slot_;
    std::map<SlotId, Slot> slots_;
};

}  // namespace stackrig::kvm
