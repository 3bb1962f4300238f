// Vcpu: entering the guest, and finishing the instruction that made it exit (F2).
#include <fmt/format.h>

#include <atomic>
#include <bit>
#include <cstring>

#include "vmm/kvm/ioctl.hpp"
#include "vmm/kvm/vcpu_entry.hpp"

namespace stackrig::kvm {
namespace {

constexpr std::uint32_t exception_db = 1;

bool is_step(const Exit& exit) {
    const auto* debug = std::get_if<Debug>(&exit);
    return debug != nullptr && debug->exception == exception_db;
}

}  // namespace

Vcpu::Vcpu(CpuId id, Fd fd, Mapping run, std::uint64_t synced, std::shared_ptr<Watchdog> watchdog)
    : id_(id), fd_(std::move(fd)), synced_(synced & (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)),
      entry_(std::make_unique<Entry>(std::move(run), std::move(watchdog))) {}
Vcpu::Vcpu(Vcpu&&) noexcept = default;
Vcpu& Vcpu::operator=(Vcpu&&) noexcept = default;
Vcpu::~Vcpu() = default;

Result<void> Vcpu::answered(const char* call_name) const {
    if (!waits_for_answer()) {
        return {};
    }
    const std::string what = std::visit(
        [](const auto& pending) -> std::string {
            if constexpr (std::is_same_v<decltype(pending), const std::monostate&>) {
                return {};
            } else {
                return describe(pending);
            }
        },
        pending_);
    return fail(ErrorKind::rig,
                fmt::format("{} on {}: the guest still waits for the answer to {}. Call "
                            "complete_io_in(), complete_mmio_read() or abandon_pending() first.",
                            call_name, id_, what));
}

Result<void> Vcpu::about_to_change(const char* call_name) {
    known_ = {};
    return answered(call_name);
}

Result<Exit> Vcpu::run(std::chrono::milliseconds budget) {
    STACKRIG_TRY(about_to_change("KVM_RUN"));
    ask_for_synced(stepping_);  // after a step somebody always wants them; after most other exits, OUTs, they are not final yet
    STACKRIG_TRY_ASSIGN(Exit exit, enter_until_exit(budget));
    if (stepping_) {
        take_synced();
    }
    if (std::holds_alternative<IoOut>(exit) || std::holds_alternative<MmioWrite>(exit)) {
        STACKRIG_TRY(finish(exit));
    } else if (const auto* in = std::get_if<IoIn>(&exit)) {
        pending_ = *in;
    } else if (const auto* read = std::get_if<MmioRead>(&exit)) {
        pending_ = *read;
    }
    return exit;
}

Result<Exit> Vcpu::enter_until_exit(std::chrono::milliseconds budget) {
    Entry& entry = *entry_;
    entry.watchdog->enter(entry.seat, budget);
    int result = 0;
    bool expired = false;
    ++entries_;
    do {
        result = ::ioctl(fd_.get(), KVM_RUN, 0UL);
        if (result == 0 || errno != EINTR) {
            break;
        }
        // Not every EINTR is our budget's end: a late kick meant for the run before, a debugger, a profiler.
        std::atomic_ref(entry.shared().immediate_exit).store(0, std::memory_order_relaxed);
        expired = entry.watchdog->expired(entry.seat);
    } while (!expired);
    const int err = errno;
    entry.watchdog->leave(entry.seat);
    if (result == 0) {
        return decode(entry.run.bytes());
    }
    if (expired) {
        return Interrupted{};
    }
    return fail_errno(ErrorKind::rig, "KVM_RUN", err, fmt::format("({})", id_));
}

// With immediate_exit set, KVM_RUN does what the last exit left to do and returns EINTR before any guest
// instruction (api.rst 5, "immediate_exit"). It returns 0 instead when that work itself exits: the outcome is
// then given. Registers come along (api.rst, KVM_CAP_SYNC_REGS): behind this those of an OUT are final.
Result<std::optional<Exit>> Vcpu::reenter_to_complete() {
    known_ = {};
    ++entries_;
    Entry& entry = *entry_;
    const std::atomic_ref immediate_exit(entry.shared().immediate_exit);
    immediate_exit.store(1, std::memory_order_relaxed);
    ask_for_synced(true);
    const int result = ::ioctl(fd_.get(), KVM_RUN, 0UL);
    const int err = errno;
    immediate_exit.store(0, std::memory_order_relaxed);
    take_synced();
    if (result == 0) {
        return decode(entry.run.bytes());
    }
    if (err == EINTR) {
        return std::nullopt;
    }
    return fail_errno(ErrorKind::rig, "KVM_RUN", err, fmt::format("(completing the last exit of {})", id_));
}

void Vcpu::ask_for_synced(bool on) { entry_->shared().kvm_valid_regs = on ? synced_ : 0; }

void Vcpu::take_synced() {
    const auto& shared = entry_->shared().s.regs;
    if ((synced_ & KVM_SYNC_X86_REGS) != 0) {
        known_.regs = std::bit_cast<Regs>(shared.regs);
    }
    if ((synced_ & KVM_SYNC_X86_SREGS) != 0) {
        known_.sregs = std::bit_cast<Sregs>(shared.sregs);
    }
    if ((synced_ & KVM_SYNC_X86_EVENTS) != 0) {
        known_.events = std::bit_cast<Events>(shared.events);
    }
}

Result<void> Vcpu::finish(const Exit& what) {
    STACKRIG_TRY_ASSIGN(const std::optional<Exit> next, reenter_to_complete());
    // Under arm_single_step() the instruction's end is reported too; the caller takes its I/O exit for the
    // step.
    if (!next || is_step(*next)) {
        return {};
    }
    return fail(ErrorKind::guest,
                fmt::format("KVM_RUN on {}: completing \"{}\" gave \"{}\" instead of EINTR. The "
                            "guest's instruction does more than one thing the VMM has to handle.",
                            id_, describe(what), describe(*next)));
}

Result<void> Vcpu::finish_answer() {
    const Exit answered_exit = std::holds_alternative<IoIn>(pending_) ? Exit(std::get<IoIn>(pending_))
                                                                      : Exit(std::get<MmioRead>(pending_));
    pending_ = std::monostate{};
    return finish(answered_exit);
}

Result<void> Vcpu::complete_io_in(std::uint32_t value) { return complete_io_in(std::span(&value, 1)); }

Result<void> Vcpu::complete_io_in(std::span<const std::uint32_t> values) {
    const auto* in = std::get_if<IoIn>(&pending_);
    if (in == nullptr || in->count != values.size()) {
        return fail(ErrorKind::rig, fmt::format("complete_io_in of {} values on {}: {}.", values.size(), id_,
                                                in == nullptr ? "no IN waits for an answer"
                                                              : fmt::format("{} waits", describe(*in))));
    }
    // decode() has checked that the items lie inside the shared pages.
    std::byte* item = entry_->run.bytes().data() + entry_->shared().io.data_offset;
    for (const std::uint32_t value : values) {
        std::memcpy(item, &value, in->size);
        item += in->size;
    }
    return finish_answer();
}

Result<void> Vcpu::complete_mmio_read(std::uint64_t value) {
    const auto* read = std::get_if<MmioRead>(&pending_);
    if (read == nullptr) {
        return fail(ErrorKind::rig,
                    fmt::format("complete_mmio_read on {}: no MMIO read waits for an answer.", id_));
    }
    std::memcpy(entry_->shared().mmio.data, &value, read->size);
    return finish_answer();
}

Result<void> Vcpu::abandon_pending() {
    if (const auto* in = std::get_if<IoIn>(&pending_)) {
        return complete_io_in(std::vector<std::uint32_t>(in->count, 0));
    }
    return std::holds_alternative<MmioRead>(pending_) ? complete_mmio_read(0) : Result<void>{};
}

}  // namespace stackrig::kvm
