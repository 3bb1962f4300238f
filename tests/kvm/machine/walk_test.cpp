// Three walkers, one answer: x86::walk(), KVM_TRANSLATE and the CPU itself, over random page tables.
#include <fmt/format.h>
#include <map>
#include <random>

#include "tests/kvm/fixture.hpp"
#include "vmm/host/bare_guest.hpp"
#include "vmm/x86/paging.hpp"

namespace stackrig::test {
namespace {

using host::BareGuest;
using x86::Walk;

constexpr Gpa root{0x1000};  // BareGuest's own PML4: its lower half maps the code that does the walking
constexpr Gpa pool{BareGuest::data.value()};
constexpr std::uint64_t pool_pages = (BareGuest::ram_bytes - BareGuest::data.value()) / page_size;
constexpr std::uint64_t gigabyte = 1u << 30;

/// The guest's RAM as the walker reads it.
class Ram final : public PhysMemory {
  public:
    explicit Ram(kvm::Memory& memory) : memory_(memory) {}
    [[nodiscard]] bool read(Gpa from, std::span<std::byte> into) const override { return memory_.read(from, into).has_value(); }
    [[nodiscard]] std::uint64_t size_bytes() const override { return BareGuest::ram_bytes; }

  private:
    kvm::Memory& memory_;
};

std::string hex(Gva at) { return fmt::format("{}", at); }

class WalkTest : public KvmTest {
  protected:
    /// Every page of the pool is table and data at once; the upper half of the root leads into them.
    void fill(BareGuest& guest) {
        for (std::uint64_t i = 256; i < 512; ++i) {
            must(guest.memory().write(root + i * 8, entry(false)));
        }
        for (std::uint64_t i = 0; i < pool_pages * 512; ++i) {
            must(guest.memory().write(pool + i * 8, entry(i % 8 == 0)));
        }
        must(guest.vm().zap());
    }
    Gva address() {
        const std::uint64_t offset = random_() & 0x00007ffffffffff8;
        return Gva(0xffff800000000000 | offset);
    }
    /// A gigabyte page may be unknown to the CPU (CPUID 80000001H:EDX.Page1GB): not compared.
    static bool by_gigabytes(const Walk& walk) {
        return walk.page_bytes == gigabyte || (walk.depth == 2 && walk.last().large());
    }

  private:
    std::uint64_t entry(bool large) {
        // Without G: AMD reserves it in entries of levels 4 and 3 that lead to tables (APM 2, 5.3.3), Intel ignores it there.
        const std::uint64_t flags = random_() & (x86::Pte::rw | x86::Pte::us | x86::Pte::a | x86::Pte::d | x86::Pte::nx);
        const std::uint64_t present = random_() % 8 != 0 ? x86::Pte::p : 0;
        const std::uint64_t beyond = random_() % 16 == 0 ? BareGuest::ram_bytes : 0;
        if (large) {
            return (random_() % 2 * 0x1000) | x86::Pte::ps | flags | present;  // of RAM's only 2 MiB; bit 12 is PAT
        }
        return (pool.value() + random_() % pool_pages * page_size + beyond) | flags | present;
    }
    std::mt19937_64 random_{1};
};

TEST_F(WalkTest, KvmAndThisWalkerFindTheSamePages) {
    BareGuest guest = must(BareGuest::create(system()));
    constexpr std::uint8_t halt[] = {0xf4};
    must(guest.start_kernel(halt));
    fill(guest);
    std::map<Walk::Outcome, unsigned> seen;
    for (int i = 0; i < 20000; ++i) {
        const Gva at = address();
        const Walk walk = x86::walk(Ram(guest.memory()), root, at);
        if (by_gigabytes(walk)) {
            continue;
        }
        const kvm::Translation kvm = must(guest.cpu().translate(at));
        ASSERT_EQ(kvm.valid, walk.mapped()) << hex(at) << ": " << describe(walk.outcome) << " at depth " << walk.depth;
        if (kvm.valid) {
            ASSERT_EQ(kvm.gpa, walk.physical) << hex(at);
        }
        ++seen[walk.outcome];
    }
    for (const auto outcome : {Walk::Outcome::mapped, Walk::Outcome::not_present, Walk::Outcome::outside}) {
        EXPECT_GT(seen[outcome], 100u) << describe(outcome) << ": nothing was compared";
    }
}

TEST_F(WalkTest, TheCpuReadsWhatThisWalkerFindsAndFaultsWhereItFindsNothing) {
    BareGuest guest = must(BareGuest::create(system()));
    constexpr std::uint8_t load[] = {0x48, 0x8b, 0x06, 0xf4};  // mov rax, [rsi]; hlt
    must(guest.start_kernel(load));
    fill(guest);
    const kvm::Regs start = must(guest.cpu().regs());
    unsigned read = 0;
    unsigned faulted = 0;
    for (int i = 0; i < 3000; ++i) {
        const Gva at = address();
        const Walk walk = x86::walk(Ram(guest.memory()), root, at);
        if (by_gigabytes(walk) || walk.outcome == Walk::Outcome::outside || (walk.mapped() && walk.physical.value() >= BareGuest::ram_bytes)) {
            continue;
        }
        kvm::Regs regs = start;
        regs.rsi = at.value();
        must(guest.cpu().set_regs(regs));
        ASSERT_TRUE(std::holds_alternative<kvm::Hlt>(must(guest.cpu().run(ample))));
        const auto vector = must(guest.halted_in());
        ASSERT_EQ(vector, walk.mapped() ? std::nullopt : std::optional(Vector(14))) << hex(at) << ": " << describe(walk.outcome);
        if (walk.mapped()) {
            ASSERT_EQ(must(guest.cpu().regs()).rax, must(guest.memory().read<std::uint64_t>(walk.physical))) << hex(at);
        }
        ++(walk.mapped() ? read : faulted);
    }
    EXPECT_GT(read, 500u);
    EXPECT_GT(faulted, 300u);
}

}  // namespace
}  // namespace stackrig::test
