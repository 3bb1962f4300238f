// Loading and driving the test guest.
#include "tests/kvm/machine/guest.hpp"

#include <filesystem>

#include "vmm/machine/breakpoints.hpp"

namespace stackrig::test {

const x86::Elf& StepsGuest::elf() {
    // Beside the program inside the virtual host, where it was built on a local one.
    static const x86::Elf elf = must(x86::Elf::load(std::filesystem::exists("steps.elf") ? "steps.elf" : STACKRIG_STEPS_ELF));
    return elf;
}

Gva StepsGuest::symbol(const char* name) {
    const auto address = elf().find(name);
    if (!address) {
        throw std::runtime_error(std::string("steps.S has no symbol ") + name);
    }
    return *address;
}

StepsGuest::StepsGuest() {
    static constexpr std::byte params[4]{};
    machine::MachineOptions options{.ram_bytes = ram_bytes, .entry = Gpa(elf().entry()), .boot_params_at = Gpa(boot_params_at),
                                    .boot_params = params, .kernel_map_base = Gva(0)};
    for (const x86::ElfSegment& segment : elf().segments()) {
        options.image.push_back({segment.physical, segment.bytes, segment.memory_bytes});
    }
    machine_ = must(machine::Machine::create(KvmTest::system(), options));
}

void StepsGuest::run_to(const char* name) {
    machine::Breakpoints breakpoints(*machine_);
    must(breakpoints.set_only({symbol(name)}));
    for (;;) {
        const machine::BreakpointStop stop = must(breakpoints.run(cpu0, ample));
        if (stop.hit) {
            return;
        }
        if (std::holds_alternative<kvm::IoIn>(stop.exit)) {
            must(vcpu().complete_io_in(in_answer));
        } else if (!std::holds_alternative<kvm::IoOut>(stop.exit) && !std::holds_alternative<kvm::Hlt>(stop.exit)) {
            throw std::runtime_error("on the way to " + std::string(name) + ": " + describe(stop.exit) + " at " + where(rip()));
        }
        if (rip() == symbol("the_end") + 1) {
            throw std::runtime_error("the guest ended before " + std::string(name));
        }
    }
}

void StepsGuest::run_to_end() {
    for (;;) {
        const kvm::Exit exit = must(vcpu().run(ample));
        if (std::holds_alternative<kvm::IoIn>(exit)) {
            must(vcpu().complete_io_in(in_answer));
        } else if (!std::holds_alternative<kvm::IoOut>(exit) && !std::holds_alternative<kvm::Hlt>(exit)) {
            throw std::runtime_error(describe(exit) + " at " + where(rip()));
        }
        if (rip() == symbol("the_end") + 1) {
            return;
        }
    }
}

machine::StepStop StepsGuest::step(machine::Stepper& stepper) {
    const machine::StepStop stop = must(stepper.step(ample));
    const auto* exited = std::get_if<machine::Exited>(&stop.what);
    if (exited != nullptr && std::holds_alternative<kvm::IoIn>(exited->exit)) {
        must(vcpu().complete_io_in(in_answer));
    }
    return stop;
}

void StepsGuest::step_to(machine::Stepper& stepper, const char* name) {
    constexpr int far_too_many = 1000;
    for (int i = 0; i < far_too_many; ++i) {
        if (rip() == symbol(name)) {
            return;
        }
        step(stepper);
    }
    throw std::runtime_error("never came to " + std::string(name) + "; at " + where(rip()));
}

bool StepsGuest::trap_flag_was_seen() {
    constexpr std::uint64_t tf = 0x100;
    return ((value<std::uint64_t>("flags_seen") | value<std::uint64_t>("user_flags_seen")) & tf) != 0;
}

}  // namespace stackrig::test
