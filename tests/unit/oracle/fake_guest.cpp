// Building the fake guest.
#include "tests/unit/oracle/fake_guest.hpp"

#include <cstring>

namespace stackrig::oracle::test {
namespace {

constexpr std::uint64_t leaf_flags = 0x8000000000000003;  // P RW NX
constexpr std::uint64_t table_flags = 0x3;
constexpr std::uint64_t mask = 0x000ffffffffff000;

std::uint64_t index_at(std::uint64_t va, unsigned level) { return va >> (12 + 9 * (level - 1)) & 511; }

}  // namespace

bool Ram::read(Gpa from, std::span<std::byte> into) const {
    if (from.value() > size_bytes() || into.size() > size_bytes() - from.value()) {
        return false;
    }
    std::memcpy(into.data(), reinterpret_cast<const std::byte*>(lines_.data()) + from.value(), into.size());
    return true;
}

std::uint64_t FakeGuest::new_table() {
    const std::uint64_t pa = next_table_;
    next_table_ += abi::page_bytes;
    frame(static_cast<std::uint32_t>(pa / abi::page_bytes)).use = abi::FrameUse::page_table;
    return pa;
}

void FakeGuest::link(std::uint64_t root, std::uint64_t va) {
    std::uint64_t table = root;
    for (unsigned level = 4; level > 1; --level) {
        std::uint64_t& entry = ram.at<std::uint64_t>(table + index_at(va, level) * 8);
        if (entry == 0) {
            entry = new_table() | table_flags;
        }
        table = entry & mask;
    }
}

std::uint64_t& FakeGuest::pte(std::uint64_t va) {
    std::uint64_t table = state().kernel_cr3;
    for (unsigned level = 4; level > 1; --level) {
        table = ram.at<std::uint64_t>(table + index_at(va, level) * 8) & mask;
    }
    return ram.at<std::uint64_t>(table + index_at(va, 1) * 8);
}

std::uint32_t FakeGuest::pfn_of(std::uint32_t id, unsigned index) {
    return static_cast<std::uint32_t>((page(id, index) & mask) / abi::page_bytes);
}

void FakeGuest::map(std::uint32_t id, unsigned index, std::uint32_t pfn) {
    page(id, index) = pfn * abi::page_bytes | leaf_flags | (global_stacks_ ? 0x100u : 0u);
}

std::uint32_t FakeGuest::new_stack_frame() {
    frame(next_frame_).use = abi::FrameUse::stack;
    return next_frame_++;
}

void FakeGuest::add_thread(const char* name, abi::ThreadKind kind, abi::ThreadState thread_state) {
    const std::uint32_t id = state().thread_count++;
    abi::Thread& t = thread(id);
    t.id = id;
    t.slot = id;
    t.kind = kind;
    t.state = thread_state;
    std::strncpy(t.name, name, sizeof t.name - 1);
    t.cr3 = state().kernel_cr3;
    if (kind == abi::ThreadKind::user) {
        t.cr3 = new_table();
        std::memcpy(&ram.at<std::byte>(t.cr3 + 2048), &ram.at<std::byte>(state().kernel_cr3 + 2048), 2048);
    }
    t.saved_rsp = abi::stack_top(id) - 232;
    const bool all = kind != abi::ThreadKind::user || state().scheme == abi::Scheme::fixed;
    for (unsigned i = 0; i < (all ? 4u : 1u); ++i) {
        map(id, i, new_stack_frame());
    }
    t.source = all ? abi::StackSource::birth : abi::StackSource::none;
}

FakeGuest::FakeGuest(const Setup& setup)
    : ram(ram_bytes), a(setup.cpus), b(setup.cpus + 1), k(setup.cpus + 2), global_stacks_(setup.global_stacks) {
    abi::KernelState& ks = state();
    ks.magic = abi::boot_magic;
    ks.version = abi::abi_version;
    ks.scheme = setup.scheme;
    ks.cpus = setup.cpus;
    ks.slot_count = setup.cpus + 3 + setup.more_users;
    ks.threads = thread_pointer(0);
    ks.frames = abi::direct_map_base + frames_pa;
    ks.frame_count = ram_bytes / abi::page_bytes;
    for (std::uint32_t pfn = 0; pfn < ks.frame_count; ++pfn) {
        frame(pfn).use = abi::FrameUse::balloon;  // nobody's
    }
    ks.kernel_cr3 = new_table();
    for (std::uint32_t slot = 0; slot < ks.slot_count; slot += 64) {
        link(ks.kernel_cr3, abi::stack_area_base + slot * abi::stack_slot_size);
    }
    for (std::uint32_t i = 0; i < setup.cpus; ++i) {
        add_thread("idle", abi::ThreadKind::idle, abi::ThreadState::running);
    }
    add_thread("A", abi::ThreadKind::user, abi::ThreadState::runnable);
    add_thread("B", abi::ThreadKind::user, abi::ThreadState::runnable);
    add_thread("K", abi::ThreadKind::kthread, abi::ThreadState::runnable);
    for (std::uint32_t i = 0; i < setup.more_users; ++i) {
        add_thread("U", abi::ThreadKind::user, abi::ThreadState::runnable);
    }
    for (std::uint32_t i = 0; i < setup.cpus; ++i) {
        ks.percpu[i] = abi::kernel_map_base + percpu_pa + i * sizeof(abi::PerCpu);
        cpu(i).cpu = i;
        cpu(i).online = 1;
        cpu(i).idle = thread_pointer(i);
        cpu(i).online = 1;
        cpu(i).current = thread_pointer(i);
        for (std::uint32_t n = 0; n < setup.cache; ++n) {
            push(cpu(i).cache, new_stack_frame());
        }
        for (std::uint32_t n = 0; n < setup.reserve; ++n) {
            push(cpu(i).reserve, new_stack_frame());
        }
    }
    for (std::uint32_t n = 0; n < setup.free; ++n) {
        free(next_frame_++);
    }
}

std::uint64_t FakeGuest::map_kernel_page(std::uint64_t va) {
    link(state().kernel_cr3, va);
    const std::uint64_t pa = new_table();
    pte(va) = pa | leaf_flags;
    return pa;
}

std::uint32_t FakeGuest::alloc(abi::FrameUse use) {
    const std::uint32_t pfn = state().free_head;
    if (pfn != 0) {
        state().free_head = frame(pfn).next;
        --state().free_count;
        frame(pfn) = {use, 0};
    }
    return pfn;
}

void FakeGuest::free(std::uint32_t pfn) {
    frame(pfn) = {abi::FrameUse::free, state().free_head};
    state().free_head = pfn;
    ++state().free_count;
}

void FakeGuest::push(abi::FrameStash& stash, std::uint32_t pfn) { stash.pfn[stash.count++] = pfn; }

std::uint32_t FakeGuest::pop(abi::FrameStash& stash) { return stash.pfn[--stash.count]; }

}  // namespace stackrig::oracle::test
