// System: opening /dev/kvm and what can be asked of it without a VM.
#include "vmm/kvm/system.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <fstream>

#include "vmm/kvm/flex_buffer.hpp"
#include "vmm/kvm/ioctl.hpp"
#include "vmm/kvm/uapi.hpp"

namespace stackrig::kvm {
namespace {

// VMX without "unrestricted guest" needs four pages of guest-physical space for real mode; SVM ignores them.
// They lie below 4 GiB where no stackrig guest has memory (api.rst 4.36, 4.41).
constexpr std::uint64_t identity_map_address = 0xfffbc000;
constexpr unsigned long tss_address = 0xfffbd000;

constexpr std::size_t most_cpuid_entries = 256;
constexpr std::size_t most_msr_indices = 4096;

}  // namespace

Error open_failure(const std::string& path, int err) {
    const std::string what = fmt::format("open {}: {}", path, errno_text(err));
    switch (err) {
        case ENOENT:
        case ENXIO:
        case ENODEV:
            return {
                ErrorKind::host,
                what +
                    ". There is no KVM here: switch on virtualisation (VT-x, AMD-V) in the firmware, then "
                    "`modprobe kvm_intel` or `modprobe kvm_amd`; or use --host virtual, which needs none."};
        case EACCES:
        case EPERM:
            return {
                ErrorKind::host,
                what +
                    ". KVM is here but not for this user: `sudo usermod -aG kvm $USER` and log in again, or "
                    "(CI) put KERNEL==\"kvm\", GROUP=\"kvm\", MODE=\"0666\" into "
                    "/etc/udev/rules.d/99-kvm.rules and run `sudo udevadm trigger --name-match=kvm`; or use "
                    "--host virtual, which needs no rights."};
        default:
            return {ErrorKind::host, what + ". Use --host virtual if this cannot be cured."};
    }
}

Result<void> check_api_version(int version) {
    if (version == KVM_API_VERSION) {
        return {};
    }
    return fail(ErrorKind::host,
                fmt::format("KVM_GET_API_VERSION: {} instead of {}, the only one there has been since "
                            "Linux 2.6.22. Use another kernel, or --host virtual.",
                            version, KVM_API_VERSION));
}

Result<void> require_capabilities(const std::function<Result<std::uint32_t>(Capability)>& value_of) {
    std::string missing;
    for (const Capability capability : required_capabilities()) {
        STACKRIG_TRY_ASSIGN(const std::uint32_t value, value_of(capability));
        if (value == 0) {
            missing += fmt::format(" {}", name(capability));
        }
    }
    if (!missing.empty()) {
        return fail(
            ErrorKind::host,
            fmt::format(
                "This kernel's KVM lacks:{}. Use a newer kernel (5.10 has them all), or --host virtual.",
                missing));
    }
    return {};
}

Result<void> check_run_size(int bytes) {
    if (bytes >= 0 && static_cast<std::size_t>(bytes) >= sizeof(::kvm_run)) {
        return {};
    }
    return fail(ErrorKind::host,
                fmt::format("KVM_GET_VCPU_MMAP_SIZE: {} bytes, less than struct kvm_run ({}). Use the kernel whose "
                            "headers this was built with or a newer one, or --host virtual.",
                            bytes, sizeof(::kvm_run)));
}

Error create_vm_failure(int err) {
    return {ErrorKind::host,
            fmt::format("KVM_CREATE_VM: {}{}", errno_text(err),
                        err == EBUSY ? ". Another hypervisor holds the CPU's virtualisation: stop it, or use --host virtual." : "")};
}

Result<System> System::open(const std::string& path) {
    Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (fd.get() < 0) {
        return tl::make_unexpected(open_failure(path, errno));
    }
    const Result<int> version = call(fd, STACKRIG_IOCTL_VALUE(KVM_GET_API_VERSION));
    if (!version) {
        return fail(ErrorKind::host,
                    fmt::format("{} is not a KVM device: {}. Use --host virtual, or repair the node "
                                "(character device, major 10).",
                                path, version.error().text));
    }
    STACKRIG_TRY(check_api_version(*version));
    STACKRIG_TRY_ASSIGN(const int run_size, call(fd, STACKRIG_IOCTL_VALUE(KVM_GET_VCPU_MMAP_SIZE)));
    STACKRIG_TRY(check_run_size(run_size));
    System system(std::move(fd), static_cast<std::size_t>(run_size), std::make_shared<Watchdog>());
    STACKRIG_TRY(require_capabilities([&](Capability capability) { return system.check(capability); }));
    return system;
}

Result<std::uint32_t> System::check(Capability capability) const {
    STACKRIG_TRY_ASSIGN(const int value, call(fd_, STACKRIG_IOCTL_VALUE(KVM_CHECK_EXTENSION),
                                              static_cast<unsigned long>(capability), name(capability)));
    return static_cast<std::uint32_t>(value);
}

Result<std::vector<CpuidEntry>> System::supported_cpuid() const {
    FlexBuffer<::kvm_cpuid2, CpuidEntry> buffer(most_cpuid_entries);
    buffer.head()->nent = most_cpuid_entries;
    STACKRIG_TRY(call(fd_, STACKRIG_IOCTL(::kvm_cpuid2, KVM_GET_SUPPORTED_CPUID), buffer.head()));
    std::vector<CpuidEntry> entries(buffer.head()->nent);
    buffer.copy_to(entries);
    return entries;
}

Result<std::vector<std::uint32_t>> System::msr_indices() const {
    FlexBuffer<::kvm_msr_list, std::uint32_t> buffer(most_msr_indices);
    buffer.head()->nmsrs = most_msr_indices;
    STACKRIG_TRY(call(fd_, STACKRIG_IOCTL(::kvm_msr_list, KVM_GET_MSR_INDEX_LIST), buffer.head()));
    std::vector<std::uint32_t> indices(buffer.head()->nmsrs);
    buffer.copy_to(indices);
    return indices;
}

Result<std::uint64_t> System::mce_capabilities() const {
    std::uint64_t value = 0;
    STACKRIG_TRY(call(fd_, STACKRIG_IOCTL(std::uint64_t, KVM_X86_GET_MCE_CAP_SUPPORTED), &value));
    return value;
}

bool System::shadow_paging() {
    static const bool shadow = [] {
        for (const char* parameter : {"/sys/module/kvm_amd/parameters/npt", "/sys/module/kvm_intel/parameters/ept"}) {
            std::ifstream file(parameter);
            if (char value = 0; file.get(value)) {
                return value != 'Y' && value != '1';
            }
        }
        return true;
    }();
    return shadow;
}

Result<Vm> System::create_vm() const {
    const int fd = ::ioctl(fd_.get(), KVM_CREATE_VM, 0UL);
    if (fd < 0) {
        return tl::make_unexpected(create_vm_failure(errno));
    }
    Fd vm(fd);
    STACKRIG_TRY(call(vm, STACKRIG_IOCTL(std::uint64_t, KVM_SET_IDENTITY_MAP_ADDR), identity_map_address));
    STACKRIG_TRY(call(vm, STACKRIG_IOCTL_VALUE(KVM_SET_TSS_ADDR), tss_address));
    STACKRIG_TRY_ASSIGN(const std::uint32_t slots, check(Capability::nr_memslots));
    STACKRIG_TRY_ASSIGN(Mapping dummy, Mapping::anonymous(page_size));
    return Vm(std::move(vm), run_size_, watchdog_, std::move(dummy), static_cast<std::uint16_t>(slots - 1));
}

}  // namespace stackrig::kvm
