// System: /dev/kvm itself: is it usable, what can it do, and the maker of VMs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/kvm/capability.hpp"
#include "vmm/kvm/fd.hpp"
#include "vmm/kvm/state.hpp"
#include "vmm/kvm/vm.hpp"
#include "vmm/kvm/watchdog.hpp"

namespace stackrig::kvm {

/// The error of an open() of `path` that failed with `err`: absent, forbidden, or something else; and what to
/// do.
[[nodiscard]] Error open_failure(const std::string& path, int err);

/// Accepts version 12 only.
[[nodiscard]] Result<void> check_api_version(int version);

/// Accepts what `value_of` (KVM_CHECK_EXTENSION) says of required_capabilities() if none is 0; the error names every one that is.
[[nodiscard]] Result<void> require_capabilities(const std::function<Result<std::uint32_t>(Capability)>& value_of);

/// Accepts a KVM_GET_VCPU_MMAP_SIZE that has room for the struct kvm_run this program was built with.
[[nodiscard]] Result<void> check_run_size(int bytes);

/// The error of a KVM_CREATE_VM that failed with `err`, and what to do where that is known.
[[nodiscard]] Error create_vm_failure(int err);

/// An open /dev/kvm. Opening installs the handler of the watchdog's signal (SIGRTMIN) for the process. Open
/// it after fork(), not before: the watchdog is a thread.
class System final {
  public:
    /// Opens `path` and checks the API version and required_capabilities(). Errors (host) tell apart: absent,
    /// forbidden, not a KVM, another API version, a missing capability; each says what to do.
    static Result<System> open(const std::string& path = "/dev/kvm");

    /// KVM_CHECK_EXTENSION: 0 absent, else the capability's value.
    [[nodiscard]] Result<std::uint32_t> check(Capability capability) const;

    /// What the host can give a guest (KVM_GET_SUPPORTED_CPUID).
    [[nodiscard]] Result<std::vector<CpuidEntry>> supported_cpuid() const;

    /// Indices of the MSRs the host can save and restore (KVM_GET_MSR_INDEX_LIST).
    [[nodiscard]] Result<std::vector<std::uint32_t>> msr_indices() const;

    /// Bits of MCG_CAP that MCE set-up accepts (KVM_X86_GET_MCE_CAP_SUPPORTED).
    [[nodiscard]] Result<std::uint64_t> mce_capabilities() const;

    /// Whether KVM translates by shadow page tables (npt=0, ept=0), which do not notice what the host writes into guest page
    /// tables (Vm::zap()). True when it does not say.
    [[nodiscard]] static bool shadow_paging();

    /// A new, empty VM.
    [[nodiscard]] Result<Vm> create_vm() const;

  private:
    System(Fd fd, std::size_t run_size, std::shared_ptr<Watchdog> watchdog)
        : fd_(std::move(fd)), run_size_(run_size), watchdog_(std::move(watchdog)) {}
    Fd fd_;
    std::size_t run_size_;
    std::shared_ptr<Watchdog> watchdog_;
};

}  // namespace stackrig::kvm
