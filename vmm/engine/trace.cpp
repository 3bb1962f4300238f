// Hashing of stops.
#include "vmm/engine/trace.hpp"

namespace stackrig::engine {
namespace {

// RF is set in frames by hardware and not by TCG's SVM; it decides nothing here.
constexpr std::uint64_t rflags_rf = 1u << 16;

}  // namespace

void TraceHash::mix(std::uint64_t word) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
        hash_ = (hash_ ^ (word >> shift & 0xff)) * 0x100000001b3;
    }
}

void TraceHash::add(const Stop& stop) {
    mix(stop.cause.index() | static_cast<std::uint64_t>(stop.cpu.value()) << 8);
    if (const auto* mark = std::get_if<MarkStop>(&stop.cause)) {
        mix(static_cast<std::uint64_t>(mark->mark));
        for (const std::uint64_t arg : mark->args) {
            mix(arg);
        }
    } else if (const auto* choice = std::get_if<ChoiceStop>(&stop.cause)) {
        mix(static_cast<std::uint64_t>(choice->choice));
        mix(choice->answer);
    } else if (const auto* ipi = std::get_if<IpiStop>(&stop.cause)) {
        mix(ipi->target.value());
        mix(ipi->vector.value());
    }
    // Not CR2: behind a double fault it is the second page fault's address (SDM 3A 6.15, interrupt 14), but with shadow paging KVM leaves the first's.
    const CpuState& cpu = stop.cpus[stop.cpu.value()];
    mix(cpu.rip.value());
    mix(cpu.rflags & ~rflags_rf);
    mix(cpu.cs);
    mix(cpu.cr3.value());
    mix(cpu.gs_base.value());
    mix(cpu.nmi_masked ? 1 : 0);
    for (const std::uint64_t reg : cpu.gpr) {
        mix(reg);
    }
}

}  // namespace stackrig::engine
