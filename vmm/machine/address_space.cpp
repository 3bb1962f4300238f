// Access page by page.
#include "vmm/machine/address_space.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/x86/descriptors.hpp"
#include "vmm/x86/paging.hpp"

namespace stackrig::machine {
namespace {

/// How many of `bytes` bytes from `address` on lie in its page.
std::size_t in_page(Gva address, std::size_t bytes) {
    return std::min<std::size_t>(bytes, page_size - address.page_offset());
}

}  // namespace

AddressSpace::AddressSpace(const PhysMemory& memory, const kvm::Sregs& sregs) : memory_(memory) {
    if ((sregs.cr0 & x86::cr0::pg) != 0) {
        root_ = x86::root_of(sregs.cr3);
    }
}

Result<Gpa> AddressSpace::physical(Gva address) const {
    if (!root_) {
        return Gpa(address.value());
    }
    const x86::Walk found = x86::walk(memory_, *root_, address);
    if (!found.mapped()) {
        const std::string level =
            found.outcome == x86::Walk::Outcome::not_canonical ? "" : fmt::format(" at level {}", 4 - std::max(found.depth, 1u) + 1);
        return fail(ErrorKind::guest, fmt::format("address {} is not mapped under the page table at {}: {}{}", address, *root_,
                                                  x86::describe(found.outcome), level));
    }
    return found.physical;
}

Result<void> AddressSpace::read(Gva from, std::span<std::byte> into) const {
    while (!into.empty()) {
        const auto part = into.first(in_page(from, into.size()));
        STACKRIG_TRY_ASSIGN(const Gpa at, physical(from));
        if (!memory_.read(at, part)) {
            return fail(ErrorKind::guest, fmt::format("address {} is mapped to {}, outside RAM", from, at));
        }
        from = from + part.size();
        into = into.subspan(part.size());
    }
    return {};
}

std::size_t AddressSpace::read_some(Gva from, std::span<std::byte> into) const {
    std::size_t done = 0;
    while (done < into.size()) {
        const auto part = into.subspan(done, in_page(from + done, into.size() - done));
        if (!read(from + done, part)) {
            break;
        }
        done += part.size();
    }
    return done;
}

Result<void> AddressSpace::write(kvm::Memory& ram, Gva to, std::span<const std::byte> from) const {
    while (!from.empty()) {
        const auto part = from.first(in_page(to, from.size()));
        STACKRIG_TRY_ASSIGN(const Gpa at, physical(to));
        STACKRIG_TRY(ram.write(at, part));
        to = to + part.size();
        from = from.subspan(part.size());
    }
    return {};
}

}  // namespace stackrig::machine
