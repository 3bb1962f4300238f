// Memory: checked copies in and out of guest RAM.
#include "vmm/kvm/memory.hpp"

#include <fmt/format.h>

namespace stackrig::kvm {
namespace {

Unexpected outside(const Memory& memory, const char* what, Gpa gpa, std::size_t bytes) {
    return fail(ErrorKind::rig, fmt::format("guest memory {}: {} bytes at {} lie outside of RAM [{}, {}).",
                                            what, bytes, gpa, memory.base(), memory.base() + memory.size()));
}

}  // namespace

Memory::Memory(Gpa base, Mapping mapping)
    : base_(base), mapping_(std::move(mapping)), host_written_((pages() + 63) / 64) {}

Result<Memory> Memory::create(Gpa base, std::size_t bytes) {
    if (bytes == 0 || bytes % page_size != 0 || base.page_offset() != 0 ||
        base.value() + bytes < base.value()) {
        return fail(ErrorKind::rig,
                    fmt::format("guest memory: base {} and size {:#x} must be whole pages and not wrap.",
                                base, bytes));
    }
    STACKRIG_TRY_ASSIGN(Mapping mapping, Mapping::anonymous(bytes));
    return Memory(base, std::move(mapping));
}

Result<void> Memory::read(Gpa from, std::span<std::byte> to) const {
    if (!contains(from, to.size())) {
        return outside(*this, "read", from, to.size());
    }
    if (!to.empty()) {
        std::memcpy(to.data(), bytes().data() + (from - base_), to.size());
    }
    return {};
}

Result<void> Memory::write(Gpa to, std::span<const std::byte> from) {
    if (!contains(to, from.size())) {
        return outside(*this, "write", to, from.size());
    }
    if (from.empty()) {
        return {};
    }
    ++host_writes_;
    const std::uint64_t offset = to - base_;
    std::memcpy(mapping_.bytes().data() + offset, from.data(), from.size());
    for (std::uint64_t page = offset / page_size; page <= (offset + from.size() - 1) / page_size; ++page) {
        host_written_[page / 64] |= std::uint64_t{1} << (page % 64);
    }
    return {};
}

}  // namespace stackrig::kvm
