// What exploring costs, in exit equivalents: time of a run divided by time of a bare KVM exit of the same machine.
#include <algorithm>
#include <benchmark/benchmark.h>
#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <sys/resource.h>

#include "vmm/engine/runner.hpp"
#include "vmm/explore/single.hpp"
#include "vmm/explore/sweep.hpp"
#include "vmm/explore/watch.hpp"

namespace {

using namespace stackrig;
using Clock = std::chrono::steady_clock;

constexpr CpuId cpu0{0};
constexpr std::chrono::milliseconds patience{1000};

/// One thread that makes so many system calls, then user mode for ever.
std::string workload(unsigned calls, bool every_instruction) {
    std::string program;
    for (unsigned i = 0; i < calls; ++i) {
        program += R"("syscall null", )";
    }
    return fmt::format(R"(
schema = 1
name   = "bench"
why    = "System calls of one thread."
[threads.A]
program = [{}"spin"]
[run]
schedule = ["run"]
check = "{}"
[explore]
sweep = {{ events = ["nmi", "mc", "db", "irq", "device", "tick"] }}
)",
                       program, every_instruction ? "instruction" : "stop");
}

double microseconds_since(Clock::time_point start) { return std::chrono::duration<double, std::micro>(Clock::now() - start).count(); }

double quantile(std::vector<double>& values, double q) {
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

struct Rig {
    kvm::System system;
    x86::Elf guest;
    explore::Bench bench;
    scenario::Scenario scenario;
    std::unique_ptr<explore::Sweep> sweep;

    static std::unique_ptr<Rig> make(benchmark::State& state, unsigned calls = 1, bool every_instruction = false) {
        const char* path = std::getenv("STACKRIG_GUEST");
        auto system = kvm::System::open();
        auto guest = x86::Elf::load(path != nullptr ? path : "guest.elf");
        if (!system || !guest) {
            state.SkipWithError((!system ? system.error() : guest.error()).text.c_str());
            return nullptr;
        }
        auto rig = std::unique_ptr<Rig>(new Rig(std::move(*system), std::move(*guest)));
        auto checked = scenario::check(workload(calls, every_instruction), "bench.toml", explore::GuestSymbols(rig->guest));
        if (!checked) {
            state.SkipWithError(scenario::render(checked.error()).c_str());
            return nullptr;
        }
        rig->scenario = std::move(checked->front());
        auto sweep = explore::Sweep::prepare(rig->bench, rig->scenario, *rig->scenario.sweep, {.verify_restores = false, .repeat_every = 0});
        if (!sweep) {
            state.SkipWithError(sweep.error().text.c_str());
            return nullptr;
        }
        rig->sweep = std::move(*sweep);
        return rig;
    }

    /// Appends times of exits, in microseconds: the user program of the trunk's end spins with an OUT in each round.
    void time_exits(int count, std::vector<double>& times) {
        (void)sweep->trunk().restore(sweep->trunk().boundaries().back().moment);
        kvm::Vcpu& vcpu = sweep->trunk().session().machine().vcpu(cpu0);
        for (int i = 0; i < count; ++i) {
            const auto start = Clock::now();
            (void)vcpu.run(patience);
            times.push_back(microseconds_since(start));
        }
    }

  private:
    Rig(kvm::System system_in, x86::Elf guest_in)
        : system(std::move(system_in)), guest(std::move(guest_in)), bench{system, guest, {}} {}
};

/// Restore, inject an NMI in kernel code, run until the trunk is rejoined, check.
void injected_run_exit_equivalents(benchmark::State& state) {
    const auto rig = Rig::make(state);
    if (!rig) {
        return;
    }
    engine::SweepPlan nmi = *rig->scenario.sweep;
    nmi.events.erase(nmi.events.begin() + 1, nmi.events.end());
    nmi.user_mode = false;
    auto sweep = explore::Sweep::prepare(rig->bench, rig->scenario, nmi, {.verify_restores = false, .repeat_every = 0});
    std::vector<double> exits;  // in turns with the runs: the machine's speed changes all the time
    std::vector<double> times;
    for (auto _ : state) {
        for (std::uint64_t i = 0; sweep && i < (*sweep)->boundaries(); ++i) {
            if (i % 50 == 0) {
                rig->time_exits(50, exits);
            }
            const auto start = Clock::now();
            const auto result = (*sweep)->run(i, 1);
            if (result && result->runs == 1) {
                times.push_back(microseconds_since(start));
            }
        }
    }
    const double exit = quantile(exits, 0.5);
    if (times.empty()) {
        state.SkipWithError("no placement was applicable");
        return;
    }
    state.counters["n"] = static_cast<double>(times.size());
    state.counters["median"] = quantile(times, 0.5) / exit;
    state.counters["p99"] = quantile(times, 0.99) / exit;
    state.counters["exit_us"] = exit;
}

/// So many boundaries, six kinds of events; the trunk's walk included, the host's start not.
void sweep(benchmark::State& state, std::uint64_t boundaries, bool every_instruction) {
    for (auto _ : state) {
        const auto start = Clock::now();
        const auto rig = Rig::make(state, 1, every_instruction);
        if (!rig) {
            return;
        }
        const auto result = rig->sweep->run(rig->sweep->boundaries() / 4, boundaries);
        state.counters["seconds"] = microseconds_since(start) / 1e6;
        state.counters["runs"] = result ? static_cast<double>(result->runs) : 0;
        state.counters["suspect_pages"] = static_cast<double>(rig->sweep->trunk().snapshots().suspects());
    }
}

/// What this process has had in memory at most, in MiB.
double peak_mib() {
    rusage usage{};
    (void)getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1024;
}

/// Windows of which one is longer than the other: the price of a boundary must not depend on it, and its snapshots must fit.
void longer_window(benchmark::State& state) {
    for (auto _ : state) {
        for (const unsigned calls : {1u, 2u, 4u}) {
            const auto start = Clock::now();
            const auto rig = Rig::make(state, calls);
            if (!rig) {
                return;
            }
            const auto boundaries = static_cast<double>(rig->sweep->boundaries());
            const double walked = microseconds_since(start);
            const auto swept = Clock::now();
            (void)rig->sweep->run(rig->sweep->boundaries() / 2, 200);
            const std::string of = fmt::format("_of_{}_calls", calls);
            state.counters["boundaries" + of] = boundaries;
            state.counters["walk_us_per_boundary" + of] = walked / boundaries;
            state.counters["sweep_us_per_boundary" + of] = microseconds_since(swept) / 200;
        }
        state.counters["peak_mib"] = peak_mib();
    }
}

struct Blind final : engine::Observer {
    bool at_stop(const engine::Stop&) override { return true; }
    bool at_expect(std::size_t, const engine::Stop&) override { return true; }
    void at_end(const engine::Stop&, engine::Ending) override {}
};

/// Microseconds per boundary of the whole run, each of them a stop.
double stepped_microseconds(const Rig& rig, engine::Observer& observer) {
    engine::RunPlan plan = rig.scenario.plan;
    plan.check_every_instruction = true;
    const auto start = Clock::now();
    const auto outcome = engine::run(rig.system, rig.guest, plan, observer, {});
    return outcome ? microseconds_since(start) / static_cast<double>(outcome->stops) : 0;
}

/// The oracle's look at every instruction against stops at every instruction that nobody looks at.
void checked_step_ratio(benchmark::State& state) {
    const auto rig = Rig::make(state);
    if (!rig) {
        return;
    }
    std::vector<double> blind;
    std::vector<double> checked;
    const explore::GuestSymbols symbols(rig->guest);
    const scenario::Names names = scenario::names_of(rig->scenario, symbols);
    for (auto _ : state) {
        for (int i = 0; i < 5; ++i) {
            Blind nobody;
            blind.push_back(stepped_microseconds(*rig, nobody));
            explore::Watch watch(rig->scenario, names, *explore::kernel_state(rig->guest), [](Gva) { return std::string(); });
            checked.push_back(stepped_microseconds(*rig, watch));
        }
    }
    state.counters["step_us"] = quantile(blind, 0.5);
    state.counters["checked_us"] = quantile(checked, 0.5);
    state.counters["ratio"] = quantile(checked, 0.5) / quantile(blind, 0.5);
}

BENCHMARK(checked_step_ratio)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(injected_run_exit_equivalents)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(sweep, of_500_boundaries, 500, false)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(sweep, of_500_boundaries_checked_at_each_instruction, 500, true)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(longer_window)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
