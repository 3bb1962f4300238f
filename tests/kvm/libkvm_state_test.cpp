// Memory slots, dirty log, and vCPU state in and out.
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <vector>

#include "tests/kvm/fixture.hpp"
#include "vmm/host/bare_guest.hpp"

namespace stackrig::test {
namespace {

using host::BareGuest;
using kvm::Exit;
using kvm::SlotId;

using SlotTest = KvmTest;
using StateTest = KvmTest;

constexpr Gpa data{BareGuest::data.value()};
constexpr Gpa beyond_ram{BareGuest::no_memory.value()};

BareGuest kernel_guest(std::span<const std::uint8_t> code) {
    BareGuest guest = must(BareGuest::create(KvmTest::system()));
    must(guest.start_kernel(code));
    return guest;
}

void rerun(BareGuest& guest) {
    must(guest.cpu().set_regs(
        {.rsp = BareGuest::kernel_stack.value(), .rip = BareGuest::kernel_code.value()}));
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{}));
}

GUEST_CODE(write_two_pages, ".code64", R"(
    mov byte ptr [0x30fff], 1
    mov byte ptr [0x33000], 1
    mov al, [0x32000]
    hlt
)");

std::vector<std::uint64_t> pages_in(const std::vector<std::uint64_t>& bits) {
    std::vector<std::uint64_t> pages;
    for (std::uint64_t page = 0; page < bits.size() * 64; ++page) {
        // With nested paging every walk counts as a write to the guest's page tables (pages 1..4).
        if ((bits[page / 64] >> (page % 64) & 1) != 0 && (page < 1 || page > 4)) {
            pages.push_back(page);
        }
    }
    return pages;
}

TEST_F(SlotTest, TheDirtyLogHasExactlyTheWrittenPagesAndIsClearedByTaking) {
    BareGuest guest = kernel_guest(write_two_pages);
    std::vector<std::uint64_t> bits;
    must(guest.vm().set_dirty_log(BareGuest::ram_slot, true));
    rerun(guest);  // the first touch of a page maps it writable and logs it, even for a read
    must(guest.vm().take_dirty_log(BareGuest::ram_slot, bits));
    EXPECT_EQ(bits.size(), BareGuest::ram_bytes / page_size / 64);

    must(guest.memory().write(data + 5 * page_size, std::uint8_t{1}));
    rerun(guest);
    must(guest.vm().take_dirty_log(BareGuest::ram_slot, bits));
    EXPECT_EQ(pages_in(bits), (std::vector<std::uint64_t>{0x30, 0x33})) << "no read, no host write (F4)";
    must(guest.vm().take_dirty_log(BareGuest::ram_slot, bits));
    EXPECT_EQ(pages_in(bits), std::vector<std::uint64_t>{});
}

TEST_F(SlotTest, TakingALogThatIsOffIsAnError) {
    BareGuest guest = kernel_guest(write_two_pages);
    std::vector<std::uint64_t> bits;
    EXPECT_EQ(error_of(guest.vm().take_dirty_log(BareGuest::ram_slot, bits)),
              "KVM_GET_DIRTY_LOG: ENOENT (No such file or directory) (is the slot's log on?)");
}

GUEST_CODE(read_write_beyond_ram, ".code64", R"(
    mov eax, [0x100000]
    mov dword ptr [0x100000], 0x55
    hlt
)");

TEST_F(SlotTest, AReadOnlySlotIsReadAndItsWritesExit) {
    STACKRIG_NEEDS("slot.readonly");
    BareGuest guest = kernel_guest(read_write_beyond_ram);
    auto rom = must(kvm::Memory::create(beyond_ram, page_size));
    must(rom.write(beyond_ram, 0x1234U));
    must(guest.vm().add_slot(
        {.id = SlotId(1), .base = beyond_ram, .host = rom.unrecorded_bytes(), .read_only = true}));
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::MmioWrite{beyond_ram, 4, 0x55}));
    EXPECT_EQ(must(guest.cpu().regs()).rax, 0x1234U);
    EXPECT_EQ(must(rom.read<std::uint32_t>(beyond_ram)), 0x1234U) << "the write is the VMM's to do";
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{}));
    must(guest.vm().delete_slot(SlotId(1)));
}

TEST_F(SlotTest, AReplacedSlotShowsItsNewMemoryAndADeletedOneNone) {
    BareGuest guest = kernel_guest(read_write_beyond_ram);
    auto first = must(kvm::Memory::create(beyond_ram, page_size));
    auto second = must(kvm::Memory::create(beyond_ram, 2 * page_size));
    must(second.write(beyond_ram, 0x2222U));
    must(guest.vm().add_slot({.id = SlotId(1), .base = beyond_ram, .host = first.unrecorded_bytes()}));
    rerun(guest);
    EXPECT_EQ(must(guest.cpu().regs()).rax, 0U);
    EXPECT_EQ(must(first.read<std::uint32_t>(beyond_ram)), 0x55U);
    must(guest.vm().replace_slot({.id = SlotId(1), .base = beyond_ram, .host = second.unrecorded_bytes()}));
    rerun(guest);
    EXPECT_EQ(must(guest.cpu().regs()).rax, 0x2222U);
    must(guest.vm().delete_slot(SlotId(1)));
    must(guest.cpu().set_regs({.rip = BareGuest::kernel_code.value()}));
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::MmioRead{beyond_ram, 4}));
}

TEST_F(SlotTest, WrongSlotsAreRefusedAndNamed) {
    BareGuest guest = must(BareGuest::create(system()));
    auto page = must(kvm::Memory::create(Gpa(0), page_size));
    const auto host = page.unrecorded_bytes();
    EXPECT_EQ(error_of(guest.vm().add_slot({.id = BareGuest::ram_slot, .base = beyond_ram, .host = host})),
              "add_slot: slot 0 is already in use.");
    EXPECT_EQ(error_of(guest.vm().add_slot({.id = SlotId(1), .base = data, .host = host})),
              "KVM_SET_USER_MEMORY_REGION: EEXIST (File exists) (slot 1: 0x1000 bytes at 0x30000).");
    EXPECT_EQ(error_of(guest.vm().delete_slot(SlotId(1))), "delete_slot: there is no memory slot 1.");
    EXPECT_EQ(error_of(guest.vm().add_slot({.id = SlotId(1), .base = beyond_ram, .host = {}})), "add_slot: slot 1 has no memory.");
    const std::uint32_t kept = must(system().check(kvm::Capability::nr_memslots)) - 1;
    EXPECT_EQ(error_of(guest.vm().add_slot({.id = SlotId(static_cast<std::uint16_t>(kept)), .base = beyond_ram, .host = host})),
              fmt::format("add_slot: slot {} is beyond the last one, {}.", kept, kept - 1));
    EXPECT_TRUE(guest.vm().add_slot({.id = SlotId(1), .base = beyond_ram, .host = host}))
        << "a refused slot must not keep its id";
    must(guest.vm().delete_slot(SlotId(1)));
}

GUEST_CODE(read_data, ".code64", "mov eax, [0x30000]\n hlt");

TEST_F(SlotTest, AfterAZapTheGuestSeesAPageTableThatTheHostRewrote) {
    BareGuest guest = kernel_guest(read_data);
    must(guest.memory().write(data, 0x1111U));
    must(guest.memory().write(data + page_size, 0x2222U));
    rerun(guest);
    EXPECT_EQ(must(guest.cpu().regs()).rax, 0x1111U);
    const Gpa pte = BareGuest::page_table + (data.value() >> page_shift) * 8;
    must(guest.memory().write(pte, must(guest.memory().read<std::uint64_t>(pte)) + page_size));
    must(guest.vm().zap());
    rerun(guest);
    EXPECT_EQ(must(guest.cpu().regs()).rax, 0x2222U);
    EXPECT_EQ(must(guest.cpu().translate(BareGuest::data)).gpa, data + page_size);
}

TEST_F(StateTest, WhatIsSetIsReadBack) {
    BareGuest guest = must(BareGuest::create(system()));
    kvm::Vcpu& cpu = guest.cpu();

    kvm::Regs regs{.rax = 1, .rbx = 2, .rcx = 3, .rdx = 4, .rsi = 5, .rdi = 6, .rsp = 7, .rbp = 8};
    regs.r8 = 9;
    regs.r15 = 16;
    regs.rip = 0xffffffff81000000;
    regs.rflags = 0x246;
    must(cpu.set_regs(regs));
    EXPECT_EQ(must(cpu.regs()), regs);

    kvm::Sregs sregs = must(cpu.sregs());
    sregs.gs.base = 0xffff888000001000;
    sregs.cr2 = 0xdead000;
    must(cpu.set_sregs(sregs));
    EXPECT_EQ(must(cpu.sregs()), sregs);

    kvm::Events events = must(cpu.events());
    events.nmi.masked = 1;
    must(cpu.set_events(events));
    EXPECT_EQ(must(cpu.events()), events);

    kvm::DebugRegs debug = must(cpu.debug_regs());
    debug.db[2] = 0x1234;
    must(cpu.set_debug_regs(debug));
    EXPECT_EQ(must(cpu.debug_regs()), debug);

    kvm::Fpu fpu = must(cpu.fpu());
    constexpr std::size_t fpu_xmm0 = 152;
    fpu.bytes[fpu_xmm0] = std::byte{0x77};
    must(cpu.set_fpu(fpu));
    EXPECT_EQ(must(cpu.fpu()), fpu);

    kvm::Xsave xsave = must(cpu.xsave());
    constexpr std::size_t xsave_xmm0 = 160;
    constexpr std::size_t xstate_bv = 512;
    xsave.bytes[xsave_xmm0] = std::byte{0x55};
    xsave.bytes[xstate_bv] |= std::byte{2};  // SSE is not in its initial state
    must(cpu.set_xsave(xsave));
    EXPECT_EQ(must(cpu.xsave()).bytes[xsave_xmm0], std::byte{0x55});
    EXPECT_EQ(must(cpu.fpu()).bytes[fpu_xmm0], std::byte{0x55});
}

GUEST_CODE(just_halt, ".code64", "hlt");

// Without an in-kernel LAPIC each KVM_RUN takes CR8 from the shared page.
TEST_F(StateTest, Cr8SurvivesARun) {
    BareGuest guest = kernel_guest(just_halt);
    auto sregs = must(guest.cpu().sregs());
    sregs.cr8 = 5;
    must(guest.cpu().set_sregs(sregs));
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{}));
    EXPECT_EQ(must(guest.cpu().sregs()).cr8, 5U);
}

TEST_F(StateTest, AnMsrThatKvmRefusesIsNamed) {
    BareGuest guest = must(BareGuest::create(system()));
    constexpr std::uint32_t msr_lstar = 0xc0000082;
    constexpr std::uint32_t msr_fmask = 0xc0000084;
    std::array<kvm::Msr, 3> msrs{kvm::Msr{msr_lstar, 0, 0x1000}, kvm::Msr{0xdeadbeef, 0, 7},
                                 kvm::Msr{msr_fmask}};
    EXPECT_EQ(error_of(guest.cpu().set_msrs(msrs)),
              "KVM_SET_MSRS: wrote 1 of 3 MSRs; this KVM refuses 0x7 for MSR 0xdeadbeef.");
    EXPECT_EQ(error_of(guest.cpu().get_msrs(msrs)),
              "KVM_GET_MSRS: read 1 of 3 MSRs; this KVM refuses MSR 0xdeadbeef.");
    std::array<kvm::Msr, 1> lstar{kvm::Msr{msr_lstar}};
    must(guest.cpu().get_msrs(lstar));
    EXPECT_EQ(lstar[0].value, 0x1000U);
}

TEST_F(StateTest, TranslateFollowsTheGuestsPageTables) {
    BareGuest guest = must(BareGuest::create(system()));
    const auto inside = must(guest.cpu().translate(BareGuest::data + 5));
    EXPECT_TRUE(inside.valid);
    EXPECT_EQ(inside.gpa, data + 5);
    EXPECT_FALSE(must(guest.cpu().translate(Gva(0x200000))).valid);
}

std::uint64_t host_nanoseconds() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

// F3: a change of less than a second looks like vCPU synchronisation to KVM and would be ignored. The bound
// grows with the time that really passed, so a slow host cannot fail this.
TEST_F(StateTest, TheTscCanBeSetBackALittle) {
    BareGuest guest = must(BareGuest::create(system()));
    const std::uint64_t khz = must(guest.cpu().tsc_khz());
    const std::uint64_t half_a_second = khz * 500;
    constexpr std::uint64_t start = std::uint64_t{1} << 50;
    must(guest.cpu().set_tsc(start));
    const std::uint64_t before = host_nanoseconds();
    must(guest.cpu().set_tsc(start - half_a_second));
    const std::uint64_t now = must(guest.cpu().tsc());
    const std::uint64_t passed = (host_nanoseconds() - before) / 1000 * khz / 1000;
    EXPECT_GE(now, start - half_a_second);
    EXPECT_LT(now, start - half_a_second / 2 + 2 * passed);
    EXPECT_EQ(error_of(guest.cpu().set_tsc(0)), "set_tsc: KVM takes the value 0 for \"same as the other vCPUs\". Use 1 or more.");
}

TEST_F(StateTest, TheSystemsListsAreFilled) {
    const auto cpuid = must(system().supported_cpuid());
    EXPECT_TRUE(std::ranges::any_of(cpuid, [](const auto& e) { return e.function == 0 && e.ebx != 0; }));
    EXPECT_TRUE(
        std::ranges::any_of(cpuid, [](const auto& e) { return e.function == 0x80000001 && e.edx != 0; }));
    const auto msrs = must(system().msr_indices());
    EXPECT_NE(std::ranges::find(msrs, 0xc0000082), msrs.end()) << "LSTAR";
}

}  // namespace
}  // namespace stackrig::test
