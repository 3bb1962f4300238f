// The fixture of tests that run the guest by a plan: what a run shows, and short words for plans.
#pragma once

#include <cstdlib>
#include <map>
#include <optional>

#include "guest/abi/layout.hpp"
#include "guest/abi/state.hpp"
#include "tests/kvm/fixture.hpp"
#include "vmm/engine/runner.hpp"

namespace stackrig::engine {

inline constexpr CpuId cpu0{0};

class Recorder final : public Observer {
  public:
    bool at_stop(const Stop& stop) override {
        if (const auto* mark = std::get_if<MarkStop>(&stop.cause)) {
            ++marks[mark->mark];
        }
        if (const auto* landed = std::get_if<LandedStop>(&stop.cause)) {
            landings.push_back(*landed);
        }
        if (std::holds_alternative<ReturnStop>(stop.cause)) {
            returns.push_back(stop.cpus[stop.cpu.value()]);
        }
        last = stop.cpus[stop.cpu.value()];
        ++stops;
        return true;
    }
    bool at_expect(std::size_t, const Stop&) override { return true; }
    void at_end(const Stop&, Ending) override {}

    std::map<abi::Mark, unsigned> marks;
    std::vector<LandedStop> landings;
    std::vector<CpuState> returns;
    CpuState last;
    unsigned stops = 0;
};

inline std::string guest_path() {
    const char* path = std::getenv("STACKRIG_GUEST");
    return path != nullptr ? path : "guest.elf";
}

class RunTest : public test::KvmTest {
  protected:
    void SetUp() override {
        test::KvmTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) {
            return;
        }
        auto loaded = x86::Elf::load(guest_path());
        ASSERT_TRUE(loaded) << loaded.error().text;
        guest = std::move(*loaded);
    }
    RunOutcome run_plan(const RunPlan& plan, Observer& observer) {
        auto outcome = run(system(), *guest, plan, observer, {});
        EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().text);
        return outcome ? *outcome : RunOutcome{.end = RunEnd::broken};
    }
    /// Bytes of kernel text from the ELF file.
    std::span<const std::byte> code_at(Gva address) const {
        const std::uint64_t physical = address.value() - abi::kernel_map_base;
        for (const x86::ElfSegment& segment : guest->segments()) {
            if (physical >= segment.physical.value() && physical < segment.physical.value() + segment.bytes.size()) {
                return segment.bytes.subspan(physical - segment.physical.value());
            }
        }
        return {};
    }
    static abi::Op call(abi::Sys number, abi::Via via = abi::Via::syscall64, std::uint32_t arg = 0, std::uint32_t depth = 0) {
        return {abi::OpKind::call, number, via, arg, depth, 0};
    }
    static abi::Op op(abi::OpKind kind) { return {kind, abi::Sys::null, abi::Via::syscall64, 0, 0, 0}; }
    static Step until(Place place, std::optional<ThreadIndex> thread = ThreadIndex{0}) {
        place.thread = thread;
        place.text = "a place";
        return {RunUntil{thread, std::nullopt, place}, "run until"};
    }
    static Step to_quiet() { return {RunToQuiet{}, "run"}; }
    static Step event(EventKind kind, std::variant<CpuId, ThreadIndex> target, std::uint8_t vector = 0) {
        Event e{.kind = kind, .vector = Vector(vector), .text = "event"};
        return {Inject{e, target}, "inject"};
    }

    std::optional<x86::Elf> guest;
};

}  // namespace stackrig::engine
