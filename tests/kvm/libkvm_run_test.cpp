// Vcpu::run(): exits of real guests, completion of their I/O, and the deadline.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/kvm/fixture.hpp"
#include "vmm/host/bare_guest.hpp"

namespace stackrig::test {
namespace {

using host::BareGuest;
using kvm::Exit;

using RunTest = KvmTest;

constexpr std::uint64_t code_at = BareGuest::kernel_code.value();

BareGuest kernel_guest(std::span<const std::uint8_t> code) {
    BareGuest guest = must(BareGuest::create(KvmTest::system()));
    must(guest.start_kernel(code));
    return guest;
}

GUEST_CODE(real_mode_out, ".code16", R"(
    mov dx, 0x3f8
    mov al, 0x41
    out dx, al
    hlt
)");

TEST_F(RunTest, ARealModeGuestWritesAPortAndHalts) {
    auto memory = must(kvm::Memory::create(Gpa(0), page_size));
    must(memory.write(Gpa(0), std::as_bytes(real_mode_out)));
    auto vm = must(system().create_vm());
    must(vm.add_slot({.id = kvm::SlotId(0), .base = Gpa(0), .host = memory.unrecorded_bytes()}));
    auto cpu = must(vm.create_vcpu(CpuId(0)));
    auto sregs = must(cpu.sregs());
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    must(cpu.set_sregs(sregs));
    must(cpu.set_regs({.rip = 0, .rflags = 2}));
    EXPECT_EQ(must(cpu.run(ample)), Exit(kvm::IoOut{0x3f8, 1, 1, 0x41, {}}));
    EXPECT_EQ(must(cpu.run(ample)), Exit(kvm::Hlt{}));
    EXPECT_EQ(must(cpu.regs()).rip, real_mode_out.size());
}

GUEST_CODE(out_then_two_halts, ".code64", R"(
    mov eax, 0x12345678
    out 0x80, eax       # 5..6
    hlt                 # 7
    hlt                 # 8
)");

// Without the completing re-entry KVM would add the length of OUT to the RIP that is set here (F2).
TEST_F(RunTest, AfterAnOutRipIsBehindItAndMayBeMoved) {
    BareGuest guest = kernel_guest(out_then_two_halts);
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::IoOut{0x80, 4, 1, 0x12345678, {}}));
    auto regs = must(guest.cpu().regs());
    EXPECT_EQ(regs.rip, code_at + 7);
    regs.rip = code_at + 8;
    must(guest.cpu().set_regs(regs));
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{}));
    EXPECT_EQ(must(guest.cpu().regs()).rip, code_at + 9);
}

GUEST_CODE(in_then_halt, ".code64", R"(
    mov eax, -1
    in al, 0x92         # 5..6
    hlt                 # 7
)");

TEST_F(RunTest, AnAnswerToInArrivesInItsSizeAndTheStateIsDefinedAfterIt) {
    BareGuest guest = kernel_guest(in_then_halt);
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::IoIn{0x92, 1, 1}));
    EXPECT_TRUE(guest.cpu().waits_for_answer());
    EXPECT_EQ(must(guest.cpu().regs()).rip, code_at + 5) << "to choose the answer by";
    must(guest.cpu().complete_io_in(0xabcd07));
    EXPECT_FALSE(guest.cpu().waits_for_answer());
    const auto regs = must(guest.cpu().regs());
    EXPECT_EQ(regs.rip, code_at + 7);
    EXPECT_EQ(regs.rax & 0xffffffff, 0xffffff07U);
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{}));
}

TEST_F(RunTest, WhileAnInIsUnansweredTheGuestCanNeitherRunNorBeChanged) {
    BareGuest guest = kernel_guest(in_then_halt);
    const auto before = must(guest.cpu().regs());
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::IoIn{0x92, 1, 1}));
    EXPECT_EQ(error_of(guest.cpu().run(ample)),
              "KVM_RUN on cpu0: the guest still waits for the answer to IN port 0x92, 1 byte. Call "
              "complete_io_in(), "
              "complete_mmio_read() or abandon_pending() first.");
    EXPECT_FALSE(guest.cpu().set_regs(before));
    EXPECT_FALSE(guest.cpu().set_sregs(must(guest.cpu().sregs())));
    EXPECT_FALSE(guest.cpu().set_events(must(guest.cpu().events())));
    EXPECT_FALSE(guest.cpu().arm_single_step());
    EXPECT_EQ(error_of(guest.cpu().complete_io_in(std::vector<std::uint32_t>{1, 2})),
              "complete_io_in of 2 values on cpu0: IN port 0x92, 1 byte waits.");
    EXPECT_EQ(error_of(guest.cpu().complete_mmio_read(1)), "complete_mmio_read on cpu0: no MMIO read waits for an answer.");
    EXPECT_TRUE(guest.cpu().waits_for_answer()) << "a refused answer leaves the question open";

    // What a restore does: nothing of the old IN may leak into the new state.
    must(guest.cpu().abandon_pending());
    must(guest.cpu().set_regs(before));
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::IoIn{0x92, 1, 1}));
    EXPECT_EQ(must(guest.cpu().regs()).rip, code_at + 5);
    must(guest.cpu().complete_io_in(1));
    EXPECT_EQ(error_of(guest.cpu().complete_io_in(1)), "complete_io_in of 1 values on cpu0: no IN waits for an answer.");
}

/// What `act` returns in a child of this process.
template <class Act>
std::string said_by_a_child(Act act) {
    int ends[2];
    const pid_t child = ::pipe(ends) == 0 ? ::fork() : -1;
    if (child == 0) {
        const std::string text = act();
        const bool written = ::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
        std::_Exit(written ? 0 : 1);
    }
    if (child < 0) {
        throw std::runtime_error("pipe() or fork(): " + errno_text(errno));
    }
    ::close(ends[1]);
    std::array<char, 500> text{};
    const ssize_t bytes = ::read(ends[0], text.data(), text.size());  // written at once, read at once
    ::close(ends[0]);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    return {text.data(), bytes < 0 ? 0 : static_cast<std::size_t>(bytes)};
}

// KVM runs a vCPU for the process that made it only: a child is where its KVM_RUN fails.
TEST_F(RunTest, AKvmRunThatFailsIsAnErrorThatSaysWhatItWasFor) {
    BareGuest guest = kernel_guest(in_then_halt);
    EXPECT_EQ(said_by_a_child([&] { return error_of(guest.cpu().run(ample)); }), "KVM_RUN: EIO (Input/output error) (cpu0)");
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::IoIn{0x92, 1, 1}));
    EXPECT_EQ(said_by_a_child([&] { return error_of(guest.cpu().complete_io_in(7)); }),
              "KVM_RUN: EIO (Input/output error) (completing the last exit of cpu0)");
    must(guest.cpu().complete_io_in(7));
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{})) << "nothing of it reached the guest";
}

GUEST_CODE(string_out, ".code64", R"(
    mov esi, 0x30000
    mov ecx, 5
    mov edx, 0xe9
    cld
    rep outsb
    hlt
)");

TEST_F(RunTest, RepOutsGivesEveryItemInOrder) {
    BareGuest guest = kernel_guest(string_out);
    const std::array<std::uint8_t, 5> text{'h', 'e', 'l', 'l', 'o'};
    must(guest.memory().write(Gpa(BareGuest::data.value()), text));
    std::string seen;
    // KVM may hand out all items at once or one after the other.
    while (seen.size() < text.size()) {
        const Exit exit = must(guest.cpu().run(ample));
        const auto* out = std::get_if<kvm::IoOut>(&exit);
        ASSERT_NE(out, nullptr) << describe(exit);
        seen += static_cast<char>(out->value);
        seen.append(out->more.begin(), out->more.end());
        EXPECT_EQ(must(guest.cpu().regs()).rcx, text.size() - seen.size())
            << "the state belongs to what was seen";
    }
    EXPECT_EQ(seen, "hello");
    EXPECT_EQ(must(guest.cpu().regs()).rsi, BareGuest::data.value() + text.size());
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{}));
}

GUEST_CODE(string_in, ".code64", R"(
    mov edi, 0x30000
    mov ecx, 3
    mov edx, 0x92
    cld
    rep insw
    hlt
)");

TEST_F(RunTest, RepInsAsksForEveryItemAndStoresThem) {
    BareGuest guest = kernel_guest(string_in);
    std::vector<std::uint32_t> answers{0x1111, 0x2222, 0x3333};
    std::size_t given = 0;
    // KVM may ask for all items at once or one after the other.
    while (given < answers.size()) {
        const Exit exit = must(guest.cpu().run(ample));
        const auto* in = std::get_if<kvm::IoIn>(&exit);
        ASSERT_NE(in, nullptr) << describe(exit);
        ASSERT_LE(given + in->count, answers.size());
        must(guest.cpu().complete_io_in(std::span(answers).subspan(given, in->count)));
        given += in->count;
    }
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{}));
    const std::array<std::uint16_t, 3> stored{0x1111, 0x2222, 0x3333};
    EXPECT_EQ((must(guest.memory().read<std::array<std::uint16_t, 3>>(Gpa(BareGuest::data.value())))),
              stored);
}

GUEST_CODE(mmio, ".code64", R"(
    mov ebx, 0x100000
    mov word ptr [rbx + 8], 0x1234
    mov rax, [rbx + 16]
    hlt
)");

TEST_F(RunTest, AccessWhereNoMemoryIsExitsWithAddressSizeAndValue) {
    BareGuest guest = kernel_guest(mmio);
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::MmioWrite{Gpa(0x100008), 2, 0x1234}));
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::MmioRead{Gpa(0x100010), 8}));
    EXPECT_FALSE(guest.cpu().run(ample)) << "unanswered";
    must(guest.cpu().complete_mmio_read(0x1122334455667788));
    EXPECT_EQ(must(guest.cpu().regs()).rax, 0x1122334455667788U);
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{}));
}

GUEST_CODE(mmio_twice, ".code64", "mov ebx, 0x100000\n add dword ptr [rbx], 1\n hlt");

TEST_F(RunTest, AnInstructionThatNeedsTwoAnswersIsAnErrorThatNamesBoth) {
    BareGuest guest = kernel_guest(mmio_twice);
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::MmioRead{Gpa(0x100000), 4}));
    EXPECT_EQ(error_of(guest.cpu().complete_mmio_read(41)),
              "KVM_RUN on cpu0: completing \"read of 4 bytes at 0x100000, where no memory is\" gave \"write "
              "of 0x2a (4 "
              "bytes) at 0x100000, where no writable memory is\" instead of EINTR. The guest's instruction "
              "does more "
              "than one thing the VMM has to handle.");
}

GUEST_CODE(triple_fault, ".code64", "ud2");

TEST_F(RunTest, ATripleFaultIsAShutdown) {
    BareGuest guest = kernel_guest(triple_fault);
    auto sregs = must(guest.cpu().sregs());
    sregs.idt.limit = 0;
    must(guest.cpu().set_sregs(sregs));
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Shutdown{}));
}

GUEST_CODE(spin, ".code64", "jmp .\n hlt");

TEST_F(RunTest, AnEndlessLoopIsInterruptedAndTheGuestRunsOnFromThere) {
    BareGuest guest = kernel_guest(spin);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(must(guest.cpu().run(std::chrono::milliseconds(1))), Exit(kvm::Interrupted{}));
        EXPECT_EQ(must(guest.cpu().regs()).rip, code_at);
    }
    auto regs = must(guest.cpu().regs());
    regs.rip = code_at + 2;
    must(guest.cpu().set_regs(regs));
    EXPECT_EQ(must(guest.cpu().run(ample)), Exit(kvm::Hlt{}))
        << "a used-up budget must not spoil the next run";
}

TEST_F(RunTest, EveryThreadMayRunAVcpuAndOneThreadSeveralInTurn) {
    BareGuest first = kernel_guest(spin);
    BareGuest second = kernel_guest(spin);
    std::vector<Exit> exits;
    std::thread([&] {
        for (BareGuest* guest : {&first, &second, &first}) {
            exits.push_back(must(guest->cpu().run(std::chrono::milliseconds(1))));
        }
    }).join();
    exits.push_back(must(second.cpu().run(std::chrono::milliseconds(1))));
    EXPECT_EQ(exits, std::vector<Exit>(4, kvm::Interrupted{}));
}

GUEST_CODE(long_loop, ".code64", R"(
    mov ecx, 20000000
1:  dec ecx
    jnz 1b
    hlt
)");

// A late kick, a profiler or a debugger also ends KVM_RUN with EINTR; the guest must not notice.
TEST_F(RunTest, ASignalBeforeTheDeadlineDoesNotEndTheRun) {
    BareGuest guest = kernel_guest(long_loop);
    std::atomic<bool> done = false;
    const pthread_t runner = ::pthread_self();
    std::thread pest([&] {
        while (!done) {
            ::pthread_kill(runner, SIGRTMIN);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    const auto exit = guest.cpu().run(ample);
    done = true;
    pest.join();
    EXPECT_EQ(must(exit), Exit(kvm::Hlt{}));
}

}  // namespace
}  // namespace stackrig::test
