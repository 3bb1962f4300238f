// The fixture of every test that needs a KVM: opens it once, probes it once, and skips by name.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "vmm/host/probe.hpp"
#include "vmm/kvm/exit.hpp"
#include "vmm/kvm/system.hpp"

namespace stackrig::kvm {

/// GoogleTest shows a kind of exit by its description.
template <class Kind>
requires std::is_constructible_v<Exit, const Kind&>
void PrintTo(const Kind& kind, std::ostream* out) { *out << describe(Exit(kind)); }

}  // namespace stackrig::kvm

namespace stackrig::test {

/// For runs that are expected to end by themselves; long enough for any loaded host.
inline constexpr std::chrono::milliseconds ample{20'000};

/// The value, or a failed test that shows the error's text.
template <class T>
T must(Result<T> result) {
    if (!result) {
        throw std::runtime_error(result.error().text);
    }
    if constexpr (!std::is_void_v<T>) {
        return std::move(*result);
    }
}

/// The text of the error that `result` must be.
template <class T>
std::string error_of(const Result<T>& result) {
    return result ? "(no error)" : result.error().text;
}

/// Skips the test for want of a usable KVM, saying why; fails it instead where there has to be one.
#define STACKRIG_SKIP_WITHOUT_KVM(reason)                \
    do {                                                 \
        if (::stackrig::test::kvm_is_required()) {       \
            FAIL() << "a KVM is required: " << (reason); \
        }                                                \
        GTEST_SKIP() << (reason);                        \
    } while (false)

/// First line of a test that needs an optional item of the probe: STACKRIG_NEEDS("inject.mc"). Skips by its
/// name.
#define STACKRIG_NEEDS(item)                                  \
    do {                                                      \
        if (!::stackrig::test::KvmTest::report().has(item)) { \
            GTEST_SKIP() << "this KVM lacks " << (item);      \
        }                                                     \
    } while (false)

/// STACKRIG_REQUIRE_KVM=1, or --require-kvm on the command line: a run in which no test could run must not
/// look like a success where a KVM is known to be (the virtual host).
[[nodiscard]] bool kvm_is_required();

/// A test with a KVM that passed the probe.
class KvmTest : public ::testing::Test {
  public:
    static const kvm::System& system();
    static const host::ProbeReport& report();

  protected:
    void SetUp() override;
};

}  // namespace stackrig::test

/// Assembles `text` (Intel syntax) into the test program and names its bytes: GUEST_CODE(spin, ".code64",
/// "jmp ."). The code must not refer to absolute addresses of its own labels.
#define GUEST_CODE(name, mode, text)                                                                        \
    extern "C" {                                                                                            \
    [[gnu::visibility("hidden")]] extern const std::uint8_t guest_##name##_begin[];                         \
    [[gnu::visibility("hidden")]] extern const std::uint8_t guest_##name##_end[];                           \
    }                                                                                                       \
    asm(".pushsection .rodata.guest,\"a\"\n.intel_syntax noprefix\n" mode "\nguest_" #name "_begin:\n" text \
        "\nguest_" #name "_end:\n.code64\n.att_syntax\n.popsection\n");                                     \
    [[maybe_unused]] static const std::span<const std::uint8_t> name(guest_##name##_begin, guest_##name##_end)
