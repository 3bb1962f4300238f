// Vm: memory slots and dirty logs.
#include "vmm/kvm/vm.hpp"

#include <fmt/format.h>

#include "vmm/kvm/ioctl.hpp"
#include "vmm/kvm/uapi.hpp"

namespace stackrig::kvm {
namespace {

// Where the dummy slot of zap() appears for a moment: below the real-mode pages set in System::create_vm().
constexpr Gpa zap_address{0xfffb0000};

std::string describe_slot(const Slot& slot) {
    return fmt::format("(slot {}: {:#x} bytes at {}{}{}).", slot.id.value(), slot.host.size(), slot.base,
                       slot.read_only ? ", read-only" : "", slot.dirty_log ? ", dirty log" : "");
}

}  // namespace

Vm::Vm(Fd fd, std::size_t run_size, std::shared_ptr<Watchdog> watchdog, Mapping dummy, std::uint16_t zap_slot)
    : fd_(std::move(fd)),
      run_size_(run_size),
      watchdog_(std::move(watchdog)),
      dummy_page_(std::move(dummy)),
      zap_slot_(zap_slot) {}

Result<void> Vm::set_region(const Slot& slot, std::uint64_t bytes) const {
    ::kvm_userspace_memory_region region{};
    region.slot = slot.id.value();
    region.flags = (slot.read_only ? KVM_MEM_READONLY : 0U) | (slot.dirty_log ? KVM_MEM_LOG_DIRTY_PAGES : 0U);
    region.guest_phys_addr = slot.base.value();
    region.memory_size = bytes;
    region.userspace_addr = reinterpret_cast<std::uint64_t>(slot.host.data());
    // The text is made only for a failure: this is on the path of every zap().
    if (::ioctl(fd_.get(), KVM_SET_USER_MEMORY_REGION, &region) < 0) {
        return fail_errno(ErrorKind::host, "KVM_SET_USER_MEMORY_REGION", errno, describe_slot(slot));
    }
    return {};
}

Result<Slot*> Vm::find(SlotId id, const char* call_name) {
    const auto found = slots_.find(id);
    if (found == slots_.end()) {
        return fail(ErrorKind::rig, fmt::format("{}: there is no memory slot {}.", call_name, id.value()));
    }
    return &found->second;
}

Result<void> Vm::add_slot(const Slot& slot) {
    if (slots_.contains(slot.id) || slot.id.value() >= zap_slot_) {
        return fail(ErrorKind::rig, fmt::format("add_slot: slot {} is {}.", slot.id.value(),
                                                slots_.contains(slot.id)
                                                    ? "already in use"
                                                    : fmt::format("beyond the last one, {}", zap_slot_ - 1)));
    }
    if (slot.host.empty()) {
        return fail(ErrorKind::rig, fmt::format("add_slot: slot {} has no memory.", slot.id.value()));
    }
    STACKRIG_TRY(set_region(slot, slot.host.size()));
    slots_.emplace(slot.id, slot);
    return {};
}

Result<void> Vm::replace_slot(const Slot& slot) {
    STACKRIG_TRY(delete_slot(slot.id));
    return add_slot(slot);
}

Result<void> Vm::delete_slot(SlotId id) {
    STACKRIG_TRY_ASSIGN(const Slot* slot, find(id, "delete_slot"));
    STACKRIG_TRY(set_region(*slot, 0));
    slots_.erase(id);
    return {};
}

Result<void> Vm::set_dirty_log(SlotId id, bool on) {
    STACKRIG_TRY_ASSIGN(Slot * slot, find(id, "set_dirty_log"));
    Slot changed = *slot;
    changed.dirty_log = on;
    STACKRIG_TRY(set_region(changed, changed.host.size()));
    *slot = changed;
    return {};
}

Result<void> Vm::keep_dirty_logs() {
    ::kvm_enable_cap enable{};
    enable.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
    enable.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
    if (::ioctl(fd_.get(), KVM_ENABLE_CAP, &enable) < 0 && errno != EINVAL) {
        return fail_errno(ErrorKind::host, "KVM_ENABLE_CAP", errno, "(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)");
    }
    return {};
}

Result<void> Vm::take_dirty_log(SlotId id, std::vector<std::uint64_t>& bits) {
    STACKRIG_TRY_ASSIGN(const Slot* slot, find(id, "take_dirty_log"));
    bits.assign((slot->host.size() / page_size + 63) / 64, 0);
    ::kvm_dirty_log log{};
    log.slot = id.value();
    log.dirty_bitmap = bits.data();
    STACKRIG_TRY(
        call(fd_, STACKRIG_IOCTL(::kvm_dirty_log, KVM_GET_DIRTY_LOG), &log, "(is the slot's log on?)"));
    return {};
}

Result<void> Vm::zap() {
    const Slot dummy{SlotId(zap_slot_), zap_address, dummy_page_.bytes()};
    STACKRIG_TRY(set_region(dummy, dummy.host.size()));
    return set_region(dummy, 0);
}

Result<Vcpu> Vm::create_vcpu(CpuId id) {
    STACKRIG_TRY_ASSIGN(
        const int fd, call(fd_, STACKRIG_IOCTL_VALUE(KVM_CREATE_VCPU), id.value(), fmt::format("({})", id)));
    Fd owned(fd);
    STACKRIG_TRY_ASSIGN(Mapping run, Mapping::of_fd(fd, run_size_));
    const int synced = call(fd_, STACKRIG_IOCTL_VALUE(KVM_CHECK_EXTENSION), KVM_CAP_SYNC_REGS).value_or(0);
    return Vcpu(id, std::move(owned), std::move(run), static_cast<std::uint64_t>(synced), watchdog_);
}

}  // namespace stackrig::kvm
