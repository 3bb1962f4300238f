// What things cost here: a bare exit, a step, a whole run, and the oracle's look at every stack.
#include <array>
#include <benchmark/benchmark.h>
#include <cstdlib>

#include "guest/abi/layout.hpp"
#include "vmm/engine/runner.hpp"
#include "vmm/kvm/system.hpp"
#include "vmm/machine/stepper.hpp"
#include "vmm/oracle/oracle.hpp"

namespace {

using namespace stackrig;

constexpr CpuId cpu0{0};
constexpr std::chrono::milliseconds patience{1000};

std::string guest_path() {
    const char* path = std::getenv("STACKRIG_GUEST");
    return path != nullptr ? path : "guest.elf";
}

void must(const Result<void>& result, benchmark::State& state) {
    if (!result) {
        state.SkipWithError(result.error().text.c_str());
        std::exit(3);
    }
}

template <class T>
T must(Result<T> result, benchmark::State& state) {
    if (!result) {
        state.SkipWithError(result.error().text.c_str());
        std::exit(3);
    }
    return std::move(*result);
}

/// Real mode, one page: OUT and back, for ever.
struct OutLoop {
    explicit OutLoop(benchmark::State& state)
        : system(must(kvm::System::open(), state)), memory(must(kvm::Memory::create(Gpa{0}, 16 * page_size), state)),
          vm(must(system.create_vm(), state)), vcpu(add_cpu(state)) {}

    kvm::Vcpu add_cpu(benchmark::State& state) {
        constexpr std::array<std::uint8_t, 4> code{0xe6, 0x10, 0xeb, 0xfc};  // out %al, $0x10; jmp
        must(memory.write(Gpa{0x1000}, std::as_bytes(std::span(code))), state);
        must(vm.add_slot({.id = kvm::SlotId{0}, .base = Gpa{0}, .host = memory.unrecorded_bytes()}), state);
        kvm::Vcpu cpu = must(vm.create_vcpu(cpu0), state);
        kvm::Sregs sregs = must(cpu.sregs(), state);
        sregs.cs.base = 0;
        sregs.cs.selector = 0;
        must(cpu.set_sregs(sregs), state);
        kvm::Regs regs = must(cpu.regs(), state);
        regs.rip = 0x1000;
        must(cpu.set_regs(regs), state);
        return cpu;
    }

    kvm::System system;
    kvm::Memory memory;
    kvm::Vm vm;
    kvm::Vcpu vcpu;
};

void bare_exit(benchmark::State& state) {
    OutLoop guest(state);
    for (auto _ : state) {
        const kvm::Exit exit = must(guest.vcpu.run(patience), state);
        if (!std::holds_alternative<kvm::IoOut>(exit)) {
            state.SkipWithError(kvm::describe(exit).c_str());
            break;
        }
    }
}

void step(benchmark::State& state) {
    OutLoop guest(state);
    for (auto _ : state) {
        must(guest.vcpu.arm_single_step(), state);
        (void)must(guest.vcpu.run(patience), state);
    }
}

engine::RunPlan null_syscalls() {
    engine::RunPlan plan;
    plan.threads = {{.name = "A", .program = {{abi::OpKind::call}, {abi::OpKind::call}, {abi::OpKind::spin}}}};
    plan.schedule = {{engine::RunToQuiet{}, "run"}};
    return plan;
}

struct Blind final : engine::Observer {
    bool at_stop(const engine::Stop&) override {
        ++stops;
        return true;
    }
    bool at_expect(std::size_t, const engine::Stop&) override { return true; }
    void at_end(const engine::Stop&, engine::Ending) override {}
    std::uint64_t stops = 0;
};

/// From nothing: VM, boot, two system calls, end.
void whole_run(benchmark::State& state) {
    const kvm::System system = must(kvm::System::open(), state);
    const x86::Elf guest = must(x86::Elf::load(guest_path()), state);
    const engine::RunPlan plan = null_syscalls();
    Blind observer;
    for (auto _ : state) {
        benchmark::DoNotOptimize(engine::run(system, guest, plan, observer, {}));
    }
    state.counters["stops"] = static_cast<double>(observer.stops) / static_cast<double>(state.iterations());
}

/// The oracle's view at one stop, and all its checks, with 32 stacks to walk.
struct Looker final : engine::Observer {
    Looker(benchmark::State& s, Gpa kernel_state, const engine::RunPlan& plan) : state(s), oracle(plan, kernel_state) {}
    bool at_stop(const engine::Stop& stop) override {
        (void)oracle.observe(stop);
        const auto* user = std::get_if<engine::UserMarkStop>(&stop.cause);
        if (user == nullptr || done) {
            return true;
        }
        for (auto _ : state) {
            benchmark::DoNotOptimize(oracle.observe(stop));
        }
        done = true;
        return false;
    }
    bool at_expect(std::size_t, const engine::Stop&) override { return true; }
    void at_end(const engine::Stop&, engine::Ending) override {}
    benchmark::State& state;
    oracle::Oracle oracle;
    bool done = false;
};

void walk_all_stacks(benchmark::State& state) {
    const kvm::System system = must(kvm::System::open(), state);
    const x86::Elf guest = must(x86::Elf::load(guest_path()), state);
    engine::RunPlan plan = null_syscalls();
    for (int i = 1; i < 32; ++i) {
        plan.threads.push_back(plan.threads.front());
    }
    const Gpa kernel_state(guest.find("kernel_state")->value() - abi::kernel_map_base);
    Looker looker(state, kernel_state, plan);
    (void)engine::run(system, guest, plan, looker, {});
}

/// Free memory at the end of boot.
struct AtBoot final : engine::Observer {
    explicit AtBoot(Gpa kernel_state) : free_count(kernel_state + offsetof(abi::KernelState, free_count)) {}
    bool at_stop(const engine::Stop& stop) override {
        const auto* mark = std::get_if<engine::MarkStop>(&stop.cause);
        if (mark == nullptr || mark->mark != abi::Mark::boot_done) {
            return true;
        }
        free_pages = stop.memory.read_as<std::uint32_t>(free_count).value_or(0);
        return false;
    }
    bool at_expect(std::size_t, const engine::Stop&) override { return true; }
    void at_end(const engine::Stop&, engine::Ending) override {}
    Gpa free_count;
    std::uint32_t free_pages = 0;
};

/// What one more thread costs, in pages of the guest and in time to create it: a crowd against none.
void crowd(benchmark::State& state, abi::Scheme scheme, std::uint32_t threads) {
    const kvm::System system = must(kvm::System::open(), state);
    const x86::Elf guest = must(x86::Elf::load(guest_path()), state);
    engine::RunPlan plan = null_syscalls();
    plan.guest.scheme = scheme;
    plan.guest.ram_bytes = 128u << 20;
    AtBoot observer(Gpa(guest.find("kernel_state")->value() - abi::kernel_map_base));
    (void)engine::run(system, guest, plan, observer, {});
    const std::uint32_t without = observer.free_pages;
    plan.guest.crowd = threads;
    for (auto _ : state) {
        benchmark::DoNotOptimize(engine::run(system, guest, plan, observer, {}));
    }
    state.counters["threads"] = threads;
    state.counters["bytes_per_thread"] = static_cast<double>(without - observer.free_pages) * abi::page_bytes / threads;
    state.counters["ns_per_thread"] = benchmark::Counter(static_cast<double>(threads) * 1e-9,
                                                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

BENCHMARK_CAPTURE(crowd, entry_exit, abi::Scheme::entry_exit, 10000)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(crowd, fixed, abi::Scheme::fixed, 6000)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(bare_exit);
BENCHMARK(step);
BENCHMARK(whole_run)->Unit(benchmark::kNanosecond);
BENCHMARK(walk_all_stacks);

}  // namespace

/// Nothing measured is no success: `./rig bench --only` may name what is not there.
int main(int argc, char** argv) {
    constexpr int usage = 2;
    benchmark::Initialize(&argc, argv);
    return benchmark::ReportUnrecognizedArguments(argc, argv) || benchmark::RunSpecifiedBenchmarks() == 0 ? usage : 0;
}
