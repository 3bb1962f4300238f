// Runs that end as none should, word for word: broken guests, places out of reach, events that cannot be.
#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

#include "tests/kvm/engine/run.hpp"

namespace stackrig::engine {
namespace {

/// Guests that break: the real image with other bytes at its entry point.
class BrokenGuestTest : public RunTest {
  protected:
    /// The guest's file with `code` at `place`.
    x86::Elf with_code_at(Gva place, const std::vector<std::uint8_t>& code) {
        std::vector<std::byte> bytes = file_bytes();
        const std::span<const std::byte> there = guest->bytes_at(place);
        const auto at = std::search(bytes.begin(), bytes.end(), there.begin(), there.begin() + 64);  // found there once
        std::transform(code.begin(), code.end(), at, [](std::uint8_t b) { return std::byte{b}; });
        return test::must(x86::Elf::parse(std::move(bytes), "broken.elf"));
    }
    /// One with `to` instead of each `from` of the same length.
    x86::Elf with_name(const std::string& from, const std::string& to) {
        std::vector<std::byte> bytes = file_bytes();
        const auto* const wanted = reinterpret_cast<const std::byte*>(from.data());
        for (auto at = bytes.begin(); (at = std::search(at, bytes.end(), wanted, wanted + from.size())) != bytes.end();) {
            at = std::transform(to.begin(), to.end(), at, [](char c) { return static_cast<std::byte>(c); });
        }
        return test::must(x86::Elf::parse(std::move(bytes), "broken.elf"));
    }
    RunOutcome run_broken(const x86::Elf& broken, const RunPlan& plan) {
        Recorder seen;
        return test::must(run(system(), broken, plan, seen, {.patience = std::chrono::milliseconds(200)}));
    }
    RunOutcome run_entry_code(const std::vector<std::uint8_t>& code) {
        RunPlan plan;
        plan.threads = {{.name = "A", .program = {}}};
        plan.schedule = {to_quiet()};
        return run_broken(with_code_at(Gva(guest->segments().front().physical.value()), code), plan);
    }
    std::vector<std::byte> file_bytes() {
        std::ifstream file(guest_path(), std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(file), {}};
        const auto* data = reinterpret_cast<const std::byte*>(text.data());
        return {data, data + text.size()};
    }
    static RunPlan a_thread_in_user_mode(std::uint32_t times = 1) {
        RunPlan plan;
        plan.threads = {{.name = "A", .program = {call(abi::Sys::null), op(abi::OpKind::spin)}}};
        plan.schedule = {until({.kind = Place::Kind::user, .occurrence = times})};
        return plan;
    }
};

TEST_F(BrokenGuestTest, ALoopForEverIsStuckNotAPass) {
    const RunOutcome outcome = run_entry_code({0xeb, 0xfe});
    EXPECT_EQ(outcome.end, RunEnd::stuck);
    EXPECT_EQ(outcome.detail, "the guest ran for 200 ms without coming back; it is at _start");
}

TEST_F(BrokenGuestTest, ATripleFaultIsSaidWithItsPlace) {
    const RunOutcome outcome = run_entry_code({0x0f, 0x0b});
    EXPECT_EQ(outcome.end, RunEnd::broken);
    EXPECT_EQ(outcome.detail.find("shutdown (triple fault) at "), 0U) << outcome.detail;  // where is up to the host: kvm-amd resets such a CPU
    EXPECT_TRUE(outcome.detail.ends_with(" (RSP 0x0, CR2 0x0); before that the CPU was seen at 0x0")) << outcome.detail;
    // xor %eax, %eax; mov %rax, %cr3
    const RunOutcome later = run_broken(with_code_at(*guest->find("do_syscall_64"), {0x31, 0xc0, 0x0f, 0x22, 0xd8}), a_thread_in_user_mode(2));
    EXPECT_EQ(later.detail.find("shutdown (triple fault) at "), 0U) << later.detail;
    EXPECT_NE(later.detail.find("; before that the CPU was seen at user_mark"), std::string::npos) << later.detail;
}

TEST_F(BrokenGuestTest, MemoryThatIsNotThereIsNamed) {
    const RunOutcome outcome = run_entry_code({0xa1, 0x00, 0x00, 0x00, 0xf0});  // mov 0xf0000000, %eax
    EXPECT_EQ(outcome.end, RunEnd::broken);
    EXPECT_NE(outcome.detail.find("0xf0000000"), std::string::npos) << outcome.detail;
}

TEST_F(BrokenGuestTest, AForeignElfAndAnotherVersionAreRefused) {
    std::vector<std::byte> bytes = file_bytes();
    const std::string owner = "stackrig";
    const auto note = std::search(bytes.begin(), bytes.end(), reinterpret_cast<const std::byte*>(owner.data()),
                                  reinterpret_cast<const std::byte*>(owner.data()) + owner.size() + 1);
    ASSERT_NE(note, bytes.end());
    std::vector<std::byte> newer = bytes;
    newer[static_cast<std::size_t>(note - bytes.begin()) + 12] = std::byte{99};
    const auto other_version = x86::Elf::parse(newer, "newer.elf");
    ASSERT_TRUE(other_version);
    const auto refused = check_guest(*other_version);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().text, fmt::format("newer.elf speaks ABI version 99 with layout {:#x}, this program version {} with layout {:#x}: build both from one tree",
                                                abi::layout_hash(), abi::abi_version, abi::layout_hash()));
    *note = std::byte{'x'};
    const auto foreign = x86::Elf::parse(bytes, "foreign.elf");
    ASSERT_TRUE(foreign);
    EXPECT_EQ(test::error_of(check_guest(*foreign)), "foreign.elf is no guest of this rig: it carries no \"stackrig\" note. Build it with `ninja -C build`");
    EXPECT_TRUE(check_guest(*guest));
}

TEST_F(BrokenGuestTest, WhatAGuestSaysThatNoGuestMaySayIsQuoted) {
    EXPECT_EQ(run_entry_code({0xf4}).detail, "\"the end of the guest's boot\" cannot be reached any more: cpu0 is idle. Only an event could change that");
    EXPECT_EQ(run_entry_code({0xb0, 0x05, 0xe6, 0x99}).detail, "the guest wrote 0x5 to port 0x99, which is none of the rig's") << "mov $5, %al; out %al, $0x99";
    // xor %eax, %eax; mov $9, %edi; out %eax, $port
    EXPECT_EQ(run_entry_code({0x31, 0xc0, 0xbf, 9, 0, 0, 0, 0xe7, static_cast<std::uint8_t>(abi::Port::ipi)}).detail, "the guest sent an interrupt to cpu9, which does not exist");
    // mov $panic, %eax; xor %edi, %edi; out %eax, $port
    EXPECT_EQ(run_entry_code({0xb8, static_cast<std::uint8_t>(abi::Mark::panic), 0, 0, 0, 0x31, 0xff, 0xe7, static_cast<std::uint8_t>(abi::Port::mark)}).detail,
              "the guest panicked: (a message at 0x0, outside the kernel image)");
}

TEST_F(BrokenGuestTest, AnEventThatCannotBeHereSaysWhy) {
    RunPlan plan = a_thread_in_user_mode();
    plan.schedule.push_back(event(EventKind::nmi, ThreadIndex{0}));
    EXPECT_EQ(test::error_of(run(system(), *guest, plan, *std::make_unique<Recorder>(), {})), "event is no event a thread can cause; inject it on a CPU");
    plan.schedule = {until({.kind = Place::Kind::mark, .mark = abi::Mark::syscall}), event(EventKind::debug, ThreadIndex{0}, 1)};
    EXPECT_EQ(run_broken(*guest, plan).detail, "event needs A in user mode on cpu0, but there is A in kernel mode; write \"run A until user\" first");
    plan.schedule = {until({.kind = Place::Kind::user}), event(EventKind::nmi, cpu0), event(EventKind::nmi, cpu0)};
    EXPECT_EQ(run_broken(*guest, plan).detail, "event cannot be delivered at asm_exc_nmi: NMIs are masked until the next IRET");
}

TEST_F(BrokenGuestTest, AStubThatDoesNotDoItsWorkIsTold) {
    RunPlan plan = a_thread_in_user_mode();
    plan.schedule.push_back(event(EventKind::int3, ThreadIndex{0}, 3));
    EXPECT_EQ(test::error_of(run(system(), with_name("user_inject_bp", "user_inject_xx"), plan, *std::make_unique<Recorder>(), {})),
              "broken.elf has no symbol user_inject_bp: guest and program do not fit together");
    const Gva stub = *guest->find("user_int3_insn");
    const RunOutcome longer = run_broken(with_code_at(stub, {0xcd, 0x03}), plan);  // int $3, which is longer by one
    ASSERT_EQ(longer.events.size(), 1U) << longer.detail;
    EXPECT_EQ(longer.events[0].detail, fmt::format("the kernel was entered with RIP {:#x} instead of {}", stub.value() + 2, stub + 1));
    EXPECT_EQ(run_broken(with_code_at(stub, {0xeb, 0xfe}), plan).detail,  // jmp .
              "event: instead of asm_exc_int3 there was interrupted: the time budget is used up at user_int3_insn");
}

}  // namespace
}  // namespace stackrig::engine
