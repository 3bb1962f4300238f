// FlexBuffer: room for a kernel struct that ends in a flexible array; private to vmm/kvm/*.cpp.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace stackrig::kvm {

/// `Head` as the kernel declares it, zeroed, then room for `count` items of `Item`, laid out as the kernel's
/// entries.
template <class Head, class Item>
class FlexBuffer final {
  public:
    explicit FlexBuffer(std::size_t count) : bytes_(sizeof(Head) + count * sizeof(Item)) {}
    explicit FlexBuffer(std::span<const Item> items) : FlexBuffer(items.size()) {
        if (!items.empty()) {
            std::memcpy(bytes_.data() + sizeof(Head), items.data(), items.size_bytes());
        }
    }

    /// Aligned, because operator new aligns for every fundamental type.
    [[nodiscard]] Head* head() { return reinterpret_cast<Head*>(bytes_.data()); }

    /// Copies the first to.size() items out.
    void copy_to(std::span<Item> to) const {
        if (!to.empty()) {
            std::memcpy(to.data(), bytes_.data() + sizeof(Head), to.size_bytes());
        }
    }

  private:
    std::vector<std::byte> bytes_;
};

}  // namespace stackrig::kvm
