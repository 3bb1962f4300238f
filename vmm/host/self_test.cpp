// Walking and disturbing the guest "steps".
#include "vmm/host/self_test.hpp"

#include <cctype>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "vmm/host/steps_path.hpp"
#include "vmm/machine/breakpoints.hpp"
#include "vmm/machine/deliver.hpp"
#include "vmm/machine/stepper.hpp"

namespace stackrig::host {
namespace {

using machine::Delivery;
using machine::Landing;

constexpr CpuId cpu0{0};
constexpr std::chrono::milliseconds budget{10'000};
constexpr unsigned far_too_many = 1000;  // the path has some 200 boundaries
constexpr std::uint8_t answer = 7;       // to the guest's one IN
constexpr std::uint64_t flag_tf = 0x100;
constexpr std::uint64_t flag_if = 0x200;
constexpr Gpa boot_params_at{0x10000};
constexpr const char* trip_begin = "kernel_to_user";
constexpr const char* trip_end = "user_behind_fault";

/// The guest, and its stepper from wherever it was made.
class Walk {
  public:
    static Result<Walk> begin(const kvm::System& system, const x86::Elf& steps) {
        static constexpr std::byte params[4]{};
        machine::MachineOptions options{.entry = Gpa(steps.entry()), .boot_params_at = boot_params_at, .boot_params = params, .kernel_map_base = Gva(0)};
        for (const x86::ElfSegment& segment : steps.segments()) {
            options.image.push_back({segment.physical, segment.bytes, segment.memory_bytes});
        }
        STACKRIG_TRY_ASSIGN(auto guest, machine::Machine::create(system, options));
        STACKRIG_TRY_ASSIGN(machine::Stepper stepper, machine::Stepper::create(*guest, cpu0));
        return Walk(steps, std::move(guest), std::move(stepper));
    }

    Result<machine::StepStop> step() {
        STACKRIG_TRY_ASSIGN(const machine::StepStop stop, stepper_.step(budget));
        const auto* exited = std::get_if<machine::Exited>(&stop.what);
        if (exited != nullptr && std::holds_alternative<kvm::IoIn>(exited->exit)) {
            STACKRIG_TRY(vcpu().complete_io_in(answer));
        } else if (exited != nullptr && !std::holds_alternative<kvm::IoOut>(exited->exit)) {
            return fail(ErrorKind::host, fmt::format("{} at {}", kvm::describe(exited->exit), steps_.describe(stop.from)));
        }
        return stop;
    }
    Result<Gva> rip() {
        STACKRIG_TRY_ASSIGN(const kvm::Regs regs, vcpu().regs());
        return Gva(regs.rip);
    }
    Result<void> step_to(const char* name) {
        for (unsigned i = 0; i < far_too_many; ++i) {
            STACKRIG_TRY_ASSIGN(const Gva at, rip());
            if (at == symbol(name)) {
                return {};
            }
            STACKRIG_TRY(step());
        }
        return fail(ErrorKind::host, fmt::format("the guest never came to {}", name));
    }
    /// Through the handler the guest stands at, and its IRETQ.
    Result<void> finish_handler() {
        for (unsigned i = 0; i < far_too_many; ++i) {
            STACKRIG_TRY_ASSIGN(const machine::StepStop stop, step());
            if (stop.instruction.kind == x86::InstructionClass::iret) {
                return {};
            }
        }
        return fail(ErrorKind::host, "the handler never ended");
    }
    template <class T>
    Result<T> word(const char* name) { return guest_->memory().read<T>(Gpa(symbol(name).value())); }
    [[nodiscard]] Gva symbol(const char* name) const { return steps_.find(name).value_or(Gva(0)); }
    [[nodiscard]] std::string where(Gva at) const { return steps_.describe(at); }
    [[nodiscard]] machine::Machine& guest() { return *guest_; }
    [[nodiscard]] kvm::Vcpu& vcpu() { return guest_->vcpu(cpu0); }

  private:
    Walk(const x86::Elf& steps, std::unique_ptr<machine::Machine> guest, machine::Stepper stepper)
        : steps_(steps), guest_(std::move(guest)), stepper_(std::move(stepper)) {}

    const x86::Elf& steps_;
    std::unique_ptr<machine::Machine> guest_;
    machine::Stepper stepper_;  // goes first: its traps lie in the guest
};

/// "rule.step.mov_ss".
std::string step_rule_name(x86::InstructionClass kind) {
    std::string name = std::string("step.") + x86::describe(kind);
    for (char& c : name) {
        c = c == ' ' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return name;
}

ProbeItem item(std::string name, const std::vector<std::string>& wrong, std::string fine) {
    return {.name = "rule." + std::move(name), .required = true, .ok = wrong.empty(), .detail = wrong.empty() ? std::move(fine) : fmt::format("{}", fmt::join(wrong, "; "))};
}

Result<ProbeItem> clean_item(Walk& walk) {
    STACKRIG_TRY_ASSIGN(const auto kernel, walk.word<std::uint64_t>("flags_seen"));
    STACKRIG_TRY_ASSIGN(const auto user, walk.word<std::uint64_t>("user_flags_seen"));
    STACKRIG_TRY_ASSIGN(const auto traps, walk.word<std::uint32_t>("dbs"));
    std::vector<std::string> wrong;
    if (((kernel | user) & flag_tf) != 0) {
        wrong.emplace_back("the guest has seen the trap flag of the stepper");
    }
    if (traps != 1) {
        wrong.push_back(fmt::format("{} #DB came to the guest instead of its own one", traps));
    }
    return item("clean", wrong, "the guest saw no trap flag but its own");
}

/// The whole guest, once, undisturbed.
Result<void> walk_all(const kvm::System& system, const x86::Elf& steps, std::vector<ProbeItem>& items) {
    STACKRIG_TRY_ASSIGN(const StepsPath path, steps_path(steps));
    STACKRIG_TRY_ASSIGN(Walk walk, Walk::begin(system, steps));
    std::vector<WalkedStep> walked;
    std::vector<std::string> broke_off;
    const Gva end = walk.symbol("the_end") + 1;
    for (unsigned i = 0; i < far_too_many; ++i) {
        STACKRIG_TRY_ASSIGN(const Gva at, walk.rip());
        if (at == end) {
            break;
        }
        const auto stop = walk.step();
        if (!stop) {
            broke_off.push_back(stop.error().text);
            break;
        }
        walked.push_back({stop->from, stop->instruction.kind});
    }
    for (const KindJudgement& kind : judge_walk(walked, path, steps)) {
        items.push_back(item(step_rule_name(kind.kind), kind.wrong, fmt::format("{} steps, each to the next boundary", kind.steps)));
    }
    items.push_back(item("walk", broke_off, fmt::format("{} boundaries from the entry point to the end", walked.size())));
    STACKRIG_TRY_ASSIGN(ProbeItem clean, clean_item(walk));
    items.push_back(std::move(clean));
    return {};
}

struct Tally {
    unsigned exact = 0;
    unsigned late = 0;
    unsigned refused = 0;
    std::vector<std::string> wrong;
};

/// Delivers here, if that can be, and brings the guest back.
Result<void> disturb(Walk& walk, const machine::NativeEvent& event, bool may_be_late, bool expect_refusal, Tally& tally) {
    STACKRIG_TRY_ASSIGN(const Gva boundary, walk.rip());
    STACKRIG_TRY_ASSIGN(const auto why_not, machine::refusal(walk.guest(), cpu0, event.how));
    if (why_not.has_value() != expect_refusal) {
        tally.wrong.push_back(fmt::format("{}: {}", walk.where(boundary), why_not.value_or("the CPU seems to take it, with IF=0 or in a shadow")));
    }
    if (why_not) {
        ++tally.refused;
        return {};
    }
    STACKRIG_TRY_ASSIGN(const Landing landing, machine::deliver(walk.guest(), cpu0, event, budget));
    if (!landing.exact && !(landing.late && may_be_late)) {
        tally.wrong.push_back(fmt::format("{}: {}", walk.where(boundary), landing.detail));
    }
    (landing.exact ? tally.exact : tally.late) += 1;
    STACKRIG_TRY(walk.finish_handler());
    STACKRIG_TRY_ASSIGN(const Gva back, walk.rip());
    if (landing.exact && back != boundary) {
        tally.wrong.push_back(fmt::format("{}: the handler's IRETQ ended at {}", walk.where(boundary), walk.where(back)));
    }
    return {};
}

/// From the kernel to user mode, through SYSCALL, INT 0x80 and #PF, with the event at each boundary that can take it.
Result<ProbeItem> disturb_all(const kvm::System& system, const x86::Elf& steps, const char* name, const machine::NativeEvent& event) {
    STACKRIG_TRY_ASSIGN(Walk walk, Walk::begin(system, steps));
    Tally tally;
    const auto walked = [&]() -> Result<void> {
        STACKRIG_TRY(walk.step_to(trip_begin));
        for (unsigned i = 0; i < far_too_many; ++i) {
            STACKRIG_TRY_ASSIGN(const kvm::Regs regs, walk.vcpu().regs());
            if (Gva(regs.rip) == walk.symbol(trip_end)) {
                return {};
            }
            STACKRIG_TRY_ASSIGN(const auto shadow, walk.vcpu().interrupt_shadow());
            const bool masked = event.how == Delivery::interrupt && ((regs.rflags & flag_if) == 0 || shadow != 0);
            STACKRIG_TRY(disturb(walk, event, shadow != 0, masked, tally));
            STACKRIG_TRY(walk.step());
        }
        return fail(ErrorKind::host, fmt::format("the guest never came to {}", trip_end));
    }();
    if (!walked) {
        tally.wrong.push_back(walked.error().text);
    }
    return item(name, tally.wrong, fmt::format("{} boundaries: {} exact, {} one instruction late in a shadow, {} that cannot take it", tally.exact + tally.late + tally.refused,
                                               tally.exact, tally.late, tally.refused));
}

}  // namespace

Result<std::vector<ProbeItem>> self_test(const kvm::System& system, const x86::Elf& steps) {
    std::vector<ProbeItem> items;
    STACKRIG_TRY(walk_all(system, steps, items));
    STACKRIG_TRY_ASSIGN(ProbeItem nmi, disturb_all(system, steps, "nmi", {.how = Delivery::nmi}));
    items.push_back(std::move(nmi));
    STACKRIG_TRY_ASSIGN(ProbeItem irq, disturb_all(system, steps, "irq", {.how = Delivery::interrupt, .vector = Vector(0x20)}));
    items.push_back(std::move(irq));
    return items;
}

}  // namespace stackrig::host
