// Exit decoding, from bytes laid out by the ABI's offsets: no /dev/kvm and no linux/kvm.h involved.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "vmm/kvm/exit.hpp"

namespace stackrig::kvm {
namespace {

// struct kvm_run, x86-64 (api.rst 5).
constexpr std::size_t at_exit_reason = 8;
constexpr std::size_t at_detail = 32;
constexpr std::size_t io_page = 4096;

class RunPage {
  public:
    explicit RunPage(std::uint32_t exit_reason) : bytes_(3 * 4096) { put(at_exit_reason, exit_reason); }
    template <class T>
    RunPage& put(std::size_t offset, T value) {
        std::memcpy(bytes_.data() + offset, &value, sizeof(value));
        return *this;
    }
    RunPage& io(std::uint8_t direction, std::uint8_t size, std::uint16_t port, std::uint32_t count,
                std::uint64_t data_offset = io_page) {
        return put(at_detail, direction)
            .put(at_detail + 1, size)
            .put(at_detail + 2, port)
            .put(at_detail + 4, count)
            .put(at_detail + 8, data_offset);
    }
    [[nodiscard]] Exit decoded() const { return decode(bytes_); }
    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  private:
    std::vector<std::byte> bytes_;
};

constexpr std::uint8_t in = 0;
constexpr std::uint8_t out = 1;

TEST(Decode, OutGivesPortSizeAndZeroExtendedValue) {
    EXPECT_EQ(RunPage(2).io(out, 1, 0xe9, 1).put(io_page, 0xffffff41U).decoded(),
              Exit(IoOut{0xe9, 1, 1, 0x41, {}}));
    EXPECT_EQ(RunPage(2).io(out, 2, 0x10, 1).put(io_page, 0xffff8765U).decoded(),
              Exit(IoOut{0x10, 2, 1, 0x8765, {}}));
    EXPECT_EQ(RunPage(2).io(out, 4, 0xffff, 1).put(io_page, 0x87654321U).decoded(),
              Exit(IoOut{0xffff, 4, 1, 0x87654321, {}}));
}

TEST(Decode, StringOutKeepsEveryItemInOrder) {
    RunPage run(2);
    run.io(out, 2, 0x80, 3).put<std::uint16_t>(io_page, 0x1111).put<std::uint16_t>(io_page + 2, 0x2222);
    run.put<std::uint16_t>(io_page + 4, 0x3333);
    EXPECT_EQ(run.decoded(), Exit(IoOut{0x80, 2, 3, 0x1111, {0x2222, 0x3333}}));
}

TEST(Decode, InSaysHowMuchIsWanted) {
    EXPECT_EQ(RunPage(2).io(in, 4, 0x92, 1).decoded(), Exit(IoIn{0x92, 4, 1}));
    EXPECT_EQ(RunPage(2).io(in, 1, 0x92, 512).decoded(), Exit(IoIn{0x92, 1, 512}));
}

TEST(Decode, IoWhoseDataLiesOutsideOfTheSharedPagesIsMalformed) {
    const Exit malformed = Unknown{2, 0};
    const auto reason = [](const Exit& exit) { return std::get<Unknown>(exit).reason; };
    EXPECT_EQ(reason(RunPage(2).io(out, 4, 1, 1, 3 * 4096 - 3).decoded()), 2U);
    EXPECT_EQ(reason(RunPage(2).io(out, 4, 1, 1, 1ULL << 60).decoded()), 2U);
    EXPECT_EQ(reason(RunPage(2).io(in, 4, 1, 0xffffffff).decoded()), 2U);
    EXPECT_EQ(reason(RunPage(2).io(in, 3, 1, 1).decoded()), 2U);
    EXPECT_EQ(reason(RunPage(2).io(in, 1, 1, 0).decoded()), 2U);
    EXPECT_TRUE(std::holds_alternative<IoOut>(RunPage(2).io(out, 4, 1, 1, 3 * 4096 - 4).decoded()));
    EXPECT_EQ(reason(malformed), 2U);
}

TEST(Decode, MmioTellsReadFromWriteAndCutsTheValueToItsSize) {
    RunPage run(6);
    run.put(at_detail, std::uint64_t{0xfee00020}).put(at_detail + 8, std::uint64_t{0x1122334455667788});
    run.put(at_detail + 16, std::uint32_t{2}).put(at_detail + 20, std::uint8_t{1});
    EXPECT_EQ(run.decoded(), Exit(MmioWrite{Gpa(0xfee00020), 2, 0x7788}));
    run.put(at_detail + 20, std::uint8_t{0});
    EXPECT_EQ(run.decoded(), Exit(MmioRead{Gpa(0xfee00020), 2}));
    run.put(at_detail + 16, std::uint32_t{9});
    EXPECT_TRUE(std::holds_alternative<Unknown>(run.decoded()));
}

TEST(Decode, DebugGivesAllFourNumbers) {
    RunPage run(4);
    run.put(at_detail, std::uint32_t{1}).put(at_detail + 8, std::uint64_t{0xffffffff81000123});
    run.put(at_detail + 16, std::uint64_t{0xffff4ff0}).put(at_detail + 24, std::uint64_t{0x400});
    EXPECT_EQ(run.decoded(), Exit(Debug{1, Gva(0xffffffff81000123), 0xffff4ff0, 0x400}));
}

TEST(Decode, ExitsWithoutDetail) {
    EXPECT_EQ(RunPage(5).decoded(), Exit(Hlt{}));
    EXPECT_EQ(RunPage(7).decoded(), Exit(IrqWindow{}));
    EXPECT_EQ(RunPage(8).decoded(), Exit(Shutdown{}));
    EXPECT_EQ(RunPage(10).decoded(), Exit(Interrupted{}));
}

TEST(Decode, FailEntry) {
    RunPage run(9);
    run.put(at_detail, std::uint64_t{0x80000021}).put(at_detail + 8, std::uint32_t{3});
    EXPECT_EQ(run.decoded(), Exit(FailEntry{0x80000021, 3}));
}

TEST(Decode, InternalErrorTakesAsMuchDataAsThereIs) {
    RunPage run(17);
    run.put(at_detail, std::uint32_t{3}).put(at_detail + 4, std::uint32_t{2});
    run.put(at_detail + 8, std::uint64_t{7}).put(at_detail + 16, std::uint64_t{8});
    EXPECT_EQ(run.decoded(), Exit(InternalError{3, {7, 8}}));
    run.put(at_detail + 4, std::uint32_t{1000});  // more than the struct holds
    EXPECT_EQ(std::get<InternalError>(run.decoded()).data.size(), 16U);
}

TEST(Decode, EmulationFailureGivesTheBytesOnlyIfTheFlagSaysSo) {
    RunPage run(17);
    run.put(at_detail, std::uint32_t{1})
        .put(at_detail + 4, std::uint32_t{3})
        .put(at_detail + 8, std::uint64_t{1});
    run.put(at_detail + 16, std::uint8_t{2}).put(at_detail + 17, std::uint16_t{0x0b0f});
    EXPECT_EQ(run.decoded(), Exit(EmulationFailure{2, {0x0f, 0x0b}}));
    run.put(at_detail + 16, std::uint8_t{200});
    EXPECT_EQ(std::get<EmulationFailure>(run.decoded()).size, 15);
    run.put(at_detail + 8, std::uint64_t{0});
    EXPECT_EQ(run.decoded(), Exit(EmulationFailure{}));
    run.put(at_detail + 4, std::uint32_t{0}).put(at_detail + 8, std::uint64_t{1});
    EXPECT_EQ(run.decoded(), Exit(EmulationFailure{})) << "stale flags with ndata 0";
}

TEST(Decode, SystemEvent) {
    RunPage run(24);
    run.put(at_detail, std::uint32_t{2})
        .put(at_detail + 4, std::uint32_t{1})
        .put(at_detail + 8, std::uint64_t{5});
    EXPECT_EQ(run.decoded(), Exit(SystemEvent{2, {5}}));
}

TEST(Decode, AnyOtherReasonIsUnknownAndKeepsItsNumbers) {
    for (const std::uint32_t reason : {0U, 1U, 3U, 16U, 29U, 37U, 38U, 4711U}) {
        EXPECT_EQ(RunPage(reason).put(at_detail, std::uint64_t{99}).decoded(), Exit(Unknown{reason, 99}));
    }
}

TEST(Decode, NeverReadsBehindAShortSpan) {
    const RunPage run(5);
    EXPECT_EQ(decode({}), Exit(Unknown{}));
    EXPECT_EQ(decode(run.bytes().first(2351)), Exit(Unknown{}));
    EXPECT_EQ(decode(run.bytes().first(2352)), Exit(Hlt{}));
}

TEST(Describe, SaysWhatAPersonNeeds) {
    EXPECT_EQ(describe(IoOut{0xe9, 1, 1, 0x41, {}}), "OUT port 0xe9, 1 byte: 0x41");
    EXPECT_EQ(describe(IoOut{0xe9, 2, 3, 1, {2, 3}}), "OUT port 0xe9, 3 items of 2 bytes: 0x1, 0x2, 0x3");
    EXPECT_EQ(describe(IoIn{0x92, 4, 1}), "IN port 0x92, 4 bytes");
    EXPECT_EQ(describe(MmioWrite{Gpa(0x5000), 8, 7}),
              "write of 0x7 (8 bytes) at 0x5000, where no writable memory is");
    EXPECT_EQ(describe(EmulationFailure{2, {0x0f, 0x0b}}), "KVM cannot emulate the instruction [0f 0b]");
    EXPECT_EQ(describe(EmulationFailure{}), "KVM cannot emulate an instruction it does not name");
    EXPECT_EQ(describe(InternalError{3, {7, 8}}), "KVM internal error 3 with data [0x7, 0x8]");
    EXPECT_EQ(describe(Debug{1, Gva(0x1000), 0x4000, 0x400}),
              "debug exception 1 at 0x1000, DR6 0x4000, DR7 0x400");
    EXPECT_EQ(describe(FailEntry{0x80000021, 3}), "entry refused by the CPU, hardware reason 0x80000021 on host CPU 3");
    EXPECT_EQ(describe(SystemEvent{2, {5, 0x10}}), "system event 2 with data [0x5, 0x10]");
    EXPECT_EQ(describe(Unknown{38, 0x99}), "unknown or malformed exit, reason 38, detail 0x99");
}

}  // namespace
}  // namespace stackrig::kvm
