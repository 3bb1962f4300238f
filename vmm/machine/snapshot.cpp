// Comparing and copying pages, and making the guest's translations follow.
#include "vmm/machine/snapshot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "vmm/base/bytes.hpp"
#include "vmm/x86/descriptors.hpp"
#include "vmm/x86/paging.hpp"

namespace stackrig::machine {
namespace {

constexpr kvm::SlotId ram_slot{0};

using Page = std::array<std::byte, page_size>;

}  // namespace

Result<std::unique_ptr<Snapshots>> Snapshots::begin(Machine& machine) {
    std::unique_ptr<Snapshots> snapshots(new Snapshots(machine));
    auto base = std::make_shared<std::vector<std::byte>>(machine.memory().size());
    (void)machine.clean_memory().read(machine.memory().base(), *base);  // it is exactly RAM
    snapshots->base_ = std::move(base);
    snapshots->suspect_at_.assign(machine.memory().pages(), -1);
    for (std::uint32_t i = 0; i < machine.cpus(); ++i) {
        STACKRIG_TRY_ASSIGN(kvm::Fpu fpu, machine.vcpu(CpuId{i}).fpu());
        snapshots->fpus_.push_back(fpu);
    }
    machine.memory().forget_host_written();
    STACKRIG_TRY(machine.vm().keep_dirty_logs());
    STACKRIG_TRY(machine.vm().set_dirty_log(ram_slot, true));
    return snapshots;
}

Snapshots::~Snapshots() { (void)machine_.vm().set_dirty_log(ram_slot, false); }

const Snapshots::Page& Snapshots::base_page(std::size_t page) const {
    return *reinterpret_cast<const Page*>(base_->data() + page * page_size);
}

const Snapshots::Page& Snapshots::wanted(const Snapshot& snapshot, std::size_t suspect) const {
    return suspect < snapshot.pages_.size() ? *snapshot.pages_[suspect] : base_page(suspects_[suspect]);
}

Snapshots::PageRef Snapshots::ref(const Snapshot& snapshot, std::size_t suspect) const {
    return suspect < snapshot.pages_.size() ? snapshot.pages_[suspect] : PageRef(base_, &base_page(suspects_[suspect]));
}

const Snapshots::Page& Snapshots::own_bytes(std::size_t page, Page& room) const {
    const std::byte* const ram = machine_.memory().bytes().data() + page * page_size;
    if (!machine_.patches().on_page(page)) {
        return *reinterpret_cast<const Page*>(ram);
    }
    (void)machine_.clean_memory().read(machine_.memory().base() + page * page_size, room);
    return room;
}

/// Stays the same as long as neither a guest nor the host can have written to RAM. put() is not counted.
std::uint64_t Snapshots::changes() const {
    std::uint64_t count = machine_.memory().host_writes();
    for (std::uint32_t i = 0; i < machine_.cpus(); ++i) {
        count += machine_.vcpu(CpuId{i}).entries();
    }
    return count;
}

Result<void> Snapshots::look_for_suspects() {
    if (looked_at_ == changes()) {
        return {};
    }
    looked_at_ = changes();
    STACKRIG_TRY(machine_.vm().take_dirty_log(ram_slot, log_));
    const auto host_written = machine_.memory().host_written();
    for (std::size_t word = 0; word < log_.size(); ++word) {
        for (std::uint64_t bits = log_[word] | host_written[word]; bits != 0; bits &= bits - 1) {
            const std::size_t page = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
            if (suspect_at_[page] < 0) {
                suspect_at_[page] = static_cast<std::int32_t>(suspects_.size());
                suspects_.push_back(page);
                current_.emplace_back(base_, &base_page(page));
            }
        }
    }
    return {};
}

Result<Snapshot> Snapshots::take() {
    Snapshot snapshot;
    for (std::uint32_t i = 0; i < machine_.cpus(); ++i) {
        STACKRIG_TRY_ASSIGN(CpuSnapshot cpu, capture(machine_.vcpu(CpuId{i})));
        snapshot.cpus_.push_back(cpu);
        machine_.saw_root(x86::root_of(cpu.sregs.cr3));
    }
    STACKRIG_TRY(look_for_suspects());
    Page room;
    bool tables_changed = false;
    for (std::size_t i = 0; i < suspects_.size(); ++i) {
        const Page& is = own_bytes(suspects_[i], room);
        if (!same_bytes(is, *current_[i])) {
            current_[i] = std::make_shared<Page>(is);
            tables_changed = tables_changed || tables_.contains(suspects_[i]);
        }
    }
    snapshot.pages_ = current_;
    if (tables_changed || machine_.roots().size() != roots_followed_) {
        follow_tables();
    }
    return snapshot;
}

Result<void> Snapshots::put(std::size_t page, const Page& bytes) {
    if (machine_.patches().on_page(page)) {
        return fail(ErrorKind::rig, fmt::format("restoring a snapshot would change page {:#x}, which the guest has written to and the rig has patched: "
                                                "a guest that changes its own code cannot be restored",
                                                page));
    }
    std::memcpy(machine_.memory().unrecorded_bytes().data() + page * page_size, bytes.data(), bytes.size());
    return {};
}

void Snapshots::follow_tables() {
    roots_followed_ = machine_.roots().size();
    tables_.follow(machine_.clean_memory(), machine_.roots());
}

Result<void> Snapshots::restore(const Snapshot& to) {
    STACKRIG_TRY(look_for_suspects());
    for (std::uint32_t i = 0; i < machine_.cpus(); ++i) {
        STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, machine_.vcpu(CpuId{i}).sregs());
        machine_.saw_root(x86::root_of(sregs.cr3));
    }
    if (machine_.roots().size() != roots_followed_) {
        follow_tables();
    }
    // A table that was linked since the last look, and is known only then, has a parent that changes with this restore.
    bool tables_changed = false;
    const bool still = held_at_ == changes();
    Page room;
    for (std::size_t i = 0; i < suspects_.size(); ++i) {
        const Page& want = wanted(to, i);
        const bool known = current_[i].get() == &want;
        if (!(known && still && held_[i]) && !same_bytes(own_bytes(suspects_[i], room), want)) {
            STACKRIG_TRY(put(suspects_[i], want));
            tables_changed = tables_changed || tables_.contains(suspects_[i]);
        }
        if (!known) {
            current_[i] = ref(to, i);
        }
    }
    held_at_.reset();
    if (tables_changed) {
        STACKRIG_TRY(flush_translations());
    }
    for (std::uint32_t i = 0; i < machine_.cpus(); ++i) {
        kvm::Vcpu& vcpu = machine_.vcpu(CpuId{i});
        STACKRIG_TRY(vcpu.abandon_pending());
        STACKRIG_TRY_ASSIGN(const CpuSnapshot standing, capture(vcpu));
        STACKRIG_TRY(machine::restore(vcpu, to.cpus_[i], &standing));
    }
    return {};
}

// What the host wrote may have been page tables (F4). Shadow tables have to go altogether; with nested paging only the TLB
// holds anything, and a change of CR4.PGE flushes it (SDM 3A 4.10.4.1), also when KVM_SET_SREGS makes it.
Result<void> Snapshots::flush_translations() {
    if (kvm::System::shadow_paging()) {
        return machine_.vm().zap();
    }
    for (std::uint32_t i = 0; i < machine_.cpus(); ++i) {
        kvm::Vcpu& vcpu = machine_.vcpu(CpuId{i});
        STACKRIG_TRY(vcpu.abandon_pending());
        STACKRIG_TRY_ASSIGN(kvm::Sregs sregs, vcpu.sregs());
        sregs.cr4 ^= x86::cr4::pge;
        STACKRIG_TRY(vcpu.set_sregs(sregs));  // restore() sets the right ones
    }
    return {};
}

Result<std::vector<Pfn>> Snapshots::differing(const Snapshot& than, std::size_t most) {
    STACKRIG_TRY(look_for_suspects());
    std::vector<Pfn> found;
    Page room;
    held_.assign(suspects_.size(), false);
    held_at_ = changes();
    for (std::size_t i = 0; i < suspects_.size() && found.size() < most; ++i) {
        const Page& is = own_bytes(suspects_[i], room);
        const Page& want = wanted(than, i);
        held_[i] = same_bytes(is, want);
        if (held_[i] && current_[i].get() != &want) {
            current_[i] = ref(than, i);
        } else if (!held_[i]) {
            found.push_back(to_pfn(machine_.memory().base() + suspects_[i] * page_size));
        }
    }
    return found;
}

std::span<const std::byte> Snapshots::page_of(const Snapshot& snapshot, Pfn page) const {
    const std::size_t number = (to_gpa(page) - machine_.memory().base()) / page_size;
    const std::int32_t suspect = suspect_at_[number];
    return suspect < 0 ? base_page(number) : wanted(snapshot, static_cast<std::size_t>(suspect));
}

Result<std::string> Snapshots::verify(const Snapshot& should_be) const {
    Page room;
    for (std::size_t page = 0; page < suspect_at_.size(); ++page) {
        const std::int32_t suspect = suspect_at_[page];
        const Page& want = suspect < 0 ? base_page(page) : wanted(should_be, static_cast<std::size_t>(suspect));
        const Page& is = own_bytes(page, room);
        if (!same_bytes(is, want)) {
            const auto at = static_cast<std::size_t>(std::mismatch(is.begin(), is.end(), want.begin()).first - is.begin());
            return fmt::format("{:#x} holds {:#04x} instead of {:#04x}{}", page * page_size + at, std::to_integer<unsigned>(is[at]),
                               std::to_integer<unsigned>(want[at]), suspect < 0 ? ", and nobody was seen to write there" : "");
        }
    }
    for (std::uint32_t i = 0; i < machine_.cpus(); ++i) {
        kvm::Vcpu& vcpu = machine_.vcpu(CpuId{i});
        vcpu.forget();
        STACKRIG_TRY_ASSIGN(const CpuSnapshot cpu, capture(vcpu));
        if (std::string what = machine::differences(cpu, should_be.cpus_[i]); !what.empty()) {
            return fmt::format("{}: {}", CpuId{i}, what);
        }
        STACKRIG_TRY_ASSIGN(const kvm::Fpu fpu, vcpu.fpu());
        if (fpu != fpus_[i]) {
            return fmt::format("{}: the FPU, which no guest may touch", CpuId{i});
        }
    }
    return std::string();
}

}  // namespace stackrig::machine
