// Vcpu: one virtual CPU: run it under a deadline, read and write its state, deliver events to it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/types.hpp"
#include "vmm/kvm/exit.hpp"
#include "vmm/kvm/fd.hpp"
#include "vmm/kvm/mapping.hpp"
#include "vmm/kvm/state.hpp"
#include "vmm/kvm/watchdog.hpp"

namespace stackrig::kvm {

/// Result of Vcpu::translate(): the guest's own page tables, walked by KVM.
struct Translation {
    Gpa gpa;
    bool valid = false;
};

/// A virtual CPU. Not for use by two threads at once; the same thread may drive several. Any error of an
/// ioctl names it and is ErrorKind::rig unless it says otherwise.
class Vcpu final {
  public:
    Vcpu(Vcpu&&) noexcept;
    Vcpu& operator=(Vcpu&&) noexcept;
    ~Vcpu();

    [[nodiscard]] CpuId id() const { return id_; }

    // --- running ---

    /// Enters the guest until something has to be handled or `budget` is used up (Interrupted; whole ticks of
    /// Watchdog::tick). When it returns, OUT and MMIO writes are complete and the state is defined (F2).
    /// After IoIn or MmioRead it is defined only once complete_io_in() or complete_mmio_read() has answered:
    /// until then run() and every change of the state are errors (reading is allowed, to choose the answer:
    /// RIP is still at the IN). An OUT or IN that was single-stepped gives IoOut or IoIn and no Debug: its
    /// completion is the step.
    [[nodiscard]] Result<Exit> run(std::chrono::milliseconds budget);

    /// Answers an IoIn of one item.
    [[nodiscard]] Result<void> complete_io_in(std::uint32_t value);
    /// Answers an IoIn; as many values as IoIn::count.
    [[nodiscard]] Result<void> complete_io_in(std::span<const std::uint32_t> values);
    /// Answers a MmioRead, little-endian, MmioRead::size low bytes of `value`.
    [[nodiscard]] Result<void> complete_mmio_read(std::uint64_t value);
    /// Whether an IoIn or MmioRead waits for its answer.
    [[nodiscard]] bool waits_for_answer() const { return !std::holds_alternative<std::monostate>(pending_); }
    /// Before restoring a snapshot: answers what is pending, if anything, with zeros; else KVM would finish
    /// the old instruction on top of the new state.
    [[nodiscard]] Result<void> abandon_pending();

    /// How often the guest was entered, or its last instruction finished: while it stays the same, so does what a guest can change.
    [[nodiscard]] std::uint64_t entries() const { return entries_; }

    // --- state ---

    /// What is read next comes from KVM, also where it should be known: for who checks that.
    void forget() { known_ = {}; }

    [[nodiscard]] Result<Regs> regs() const;
    /// Drops RFLAGS.TF unless RIP is where arm_single_step() was called (F5): arm after it, not before.
    [[nodiscard]] Result<void> set_regs(const Regs& regs);
    [[nodiscard]] Result<Sregs> sregs() const;
    [[nodiscard]] Result<void> set_sregs(const Sregs& sregs);
    [[nodiscard]] Result<Events> events() const;
    [[nodiscard]] Result<void> set_events(const Events& events);
    [[nodiscard]] Result<DebugRegs> debug_regs() const;
    [[nodiscard]] Result<void> set_debug_regs(const DebugRegs& regs);
    [[nodiscard]] Result<Fpu> fpu() const;
    [[nodiscard]] Result<void> set_fpu(const Fpu& fpu);
    [[nodiscard]] Result<Xsave> xsave() const;
    [[nodiscard]] Result<void> set_xsave(const Xsave& xsave);
    /// Fills in the values; `index` is given. Error when the kernel handled fewer: names the first refused
    /// MSR.
    [[nodiscard]] Result<void> get_msrs(std::span<Msr> msrs) const;
    /// In order (F3). Error when the kernel accepted fewer: names the first refused MSR and its value.
    [[nodiscard]] Result<void> set_msrs(std::span<const Msr> msrs);
    [[nodiscard]] Result<void> set_cpuid(std::span<const CpuidEntry> entries);
    [[nodiscard]] Result<Translation> translate(Gva gva) const;
    /// Guest TSC frequency in kHz.
    [[nodiscard]] Result<std::uint32_t> tsc_khz() const;
    /// Guest TSC now.
    [[nodiscard]] Result<std::uint64_t> tsc() const;
    /// Sets the guest TSC, also backwards: a far value goes in first, else KVM takes a small change for an
    /// attempt to synchronise vCPUs and ignores it (F3).
    [[nodiscard]] Result<void> set_tsc(std::uint64_t value);

    // --- debugging ---

    /// The next run() ends after one instruction (KVM_SET_GUEST_DEBUG). Call before each step, after
    /// set_regs() (F5).
    [[nodiscard]] Result<void> arm_single_step();
    /// Back to free running; also takes RFLAGS.TF out of the guest's state.
    [[nodiscard]] Result<void> disarm_single_step();

    // --- events ---

    /// Queues an NMI (KVM_NMI); taken at the next boundary where NMIs are not masked.
    [[nodiscard]] Result<void> inject_nmi();
    /// Queues an external interrupt (KVM_INTERRUPT). It is delivered even with IF=0 or in a shadow (F6): look
    /// at ready_for_interrupt(), if_flag() and interrupt_shadow() first.
    [[nodiscard]] Result<void> inject_interrupt(Vector vector);
    /// As of the last run(): KVM can take an interrupt now.
    [[nodiscard]] bool ready_for_interrupt() const;
    /// As of the last run(): RFLAGS.IF.
    [[nodiscard]] bool if_flag() const;
    /// Bits shadow_mov_ss and shadow_sti, now.
    [[nodiscard]] Result<std::uint8_t> interrupt_shadow() const;
    /// While on, run() ends with IrqWindow at the first boundary where an interrupt could be taken.
    void request_interrupt_window(bool on);
    /// Gives the vCPU machine-check banks (KVM_X86_SETUP_MCE): bits 0..7 of `mcg_cap` are their number.
    [[nodiscard]] Result<void> set_up_mce(std::uint64_t mcg_cap);
    /// Logs the error in its bank and, when uncorrected, raises #MC (KVM_X86_SET_MCE).
    [[nodiscard]] Result<void> inject_mce(const MachineCheck& mce);

  private:
    friend class Vm;
    struct Entry;  // the shared page and the watchdog's seat, at one address for their whole life
    /// `synced`: sets of registers that the kernel can leave in the shared page at each exit (KVM_CAP_SYNC_REGS).
    Vcpu(CpuId id, Fd fd, Mapping run, std::uint64_t synced, std::shared_ptr<Watchdog> watchdog);

    [[nodiscard]] Result<Exit> enter_until_exit(std::chrono::milliseconds budget);
    [[nodiscard]] Result<std::optional<Exit>> reenter_to_complete();
    /// Has the next KVM_RUN leave registers in the shared page, which costs less than one ioctl for each set of them.
    void ask_for_synced(bool on);
    void take_synced();
    [[nodiscard]] Result<void> finish(const Exit& what);
    [[nodiscard]] Result<void> finish_answer();
    [[nodiscard]] Result<void> answered(const char* call) const;
    /// As answered(), for a call that changes the state.
    [[nodiscard]] Result<void> about_to_change(const char* call);

    CpuId id_;
    Fd fd_;
    std::uint64_t synced_;
    std::unique_ptr<Entry> entry_;
    std::variant<std::monostate, IoIn, MmioRead> pending_;
    /// What was read since the last run or change, or came with it: a stop is looked at from several sides.
    struct Known {
        std::optional<Regs> regs;
        std::optional<Sregs> sregs;
        std::optional<Events> events;
        std::optional<DebugRegs> debug;
        std::vector<Msr> msrs;  // those asked for last
    };
    mutable Known known_;
    std::uint64_t entries_ = 0;
    bool stepping_ = false;  ///< between arm_single_step() and disarm_single_step()
};

}  // namespace stackrig::kvm
