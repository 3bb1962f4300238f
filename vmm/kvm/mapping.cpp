// Mapping: the mmap calls.
#include "vmm/kvm/mapping.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

namespace stackrig::kvm {

Mapping::~Mapping() {
    if (!bytes_.empty()) {
        ::munmap(bytes_.data(), bytes_.size());
    }
}

Result<Mapping> Mapping::anonymous(std::size_t bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return fail_errno(ErrorKind::host, "mmap", errno,
                          fmt::format("for {} bytes of guest memory: give the guest less, or the host more.", bytes));
    }
    Mapping mapping(std::span(static_cast<std::byte*>(at), bytes));
    // A kernel built without huge pages answers EINVAL; then there is nothing to turn off.
    ::madvise(at, bytes, MADV_NOHUGEPAGE);
    return mapping;
}

Result<Mapping> Mapping::of_fd(int fd, std::size_t bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        return fail_errno(ErrorKind::rig, "mmap", errno,
                          fmt::format("for {} bytes of a vCPU's shared page.", bytes));
    }
    return Mapping(std::span(static_cast<std::byte*>(at), bytes));
}

}  // namespace stackrig::kvm
