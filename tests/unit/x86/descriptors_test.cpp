// Vectors, gates and frames against the manual's examples.
#include <gtest/gtest.h>

#include <bit>

#include "vmm/x86/descriptors.hpp"
#include "vmm/x86/frames.hpp"

namespace stackrig::x86 {
namespace {

TEST(Vectors, NamesAndErrorCodes) {
    EXPECT_EQ(exception_name(vectors::pf), "#PF");
    EXPECT_EQ(exception_name(vectors::nmi), "NMI");
    EXPECT_EQ(exception_name(vectors::mc), "#MC");
    EXPECT_EQ(exception_name(Vector(29)), "#VC");
    EXPECT_FALSE(exception_name(Vector(9)).has_value());
    EXPECT_FALSE(exception_name(Vector(0x20)).has_value());
    std::string pushing;
    for (unsigned v = 0; v < 256; ++v) {
        const Vector vector(static_cast<std::uint8_t>(v));
        if (pushes_error_code(vector)) {
            pushing += std::string(exception_name(vector).value_or("?")) + " ";
        }
    }
    EXPECT_EQ(pushing, "#DF #TS #NP #SS #GP #PF #AC #CP #VC #SX ");
}

TEST(Gates, AHandlerIsPutTogetherFromThreeParts) {
    // As an assembler lays it out: offset 0xffffffff81234567, selector 0x10, IST 2, present 64-bit interrupt gate, DPL 3.
    const std::array<std::uint8_t, 16> bytes{0x67, 0x45, 0x10, 0x00, 0x02, 0xee, 0x23, 0x81, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
    const auto gate = std::bit_cast<Gate>(bytes);
    EXPECT_EQ(gate.handler(), Gva(0xffffffff81234567));
    EXPECT_TRUE(gate.present());
    EXPECT_EQ(gate.dpl(), 3u);
    EXPECT_EQ(gate.ist, 2);
    EXPECT_FALSE(Gate{}.present());
}

TEST(Frames, TheErrorCodeLiesBelowTheFrame) {
    EXPECT_EQ(frame_at(Gva(0x1000), vectors::pf), Gva(0x1008));
    EXPECT_EQ(frame_at(Gva(0x1000), vectors::nmi), Gva(0x1000));
    EXPECT_EQ(frame_at(Gva(0x1000), Vector(0x20)), Gva(0x1000));
}

TEST(Frames, EveryFieldIsComparedAndNamed) {
    const InterruptFrame meant{0x1000, 0x33, 0x202, 0x8000, 0x2b};
    EXPECT_EQ(differences(meant, meant), "");
    InterruptFrame seen{0x1001, 0x10, 0x302, 0x7ff8, 0x18};
    EXPECT_EQ(differences(seen, meant),
              "RIP 0x1001 instead of 0x1000, CS 0x10 instead of 0x33, RFLAGS 0x302 instead of 0x202, RSP 0x7ff8 instead of 0x8000, "
              "SS 0x18 instead of 0x2b");
}

TEST(Frames, WhatTheCpuLeavesUndefinedIsNotCompared) {
    const InterruptFrame meant{0x1000, 0x33, 0x202, 0x8000, 0x2b};
    InterruptFrame seen = meant;
    seen.cs |= 0xdead0000;
    seen.ss |= 0xbeef0000;
    seen.rflags |= rflags::rf;
    EXPECT_EQ(differences(seen, meant), "");
    seen.rflags |= rflags::tf;
    EXPECT_EQ(differences(seen, meant), "RFLAGS 0x302 instead of 0x202") << "a trap flag left behind must be seen";
}

}  // namespace
}  // namespace stackrig::x86
