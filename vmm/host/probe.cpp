// The host probe's guests: the five that tell a real KVM from a software one, and the optional abilities.
#include "vmm/host/probe.hpp"

#include <fmt/format.h>
#include <fstream>

#include <algorithm>
#include <array>

#include "vmm/host/bare_guest.hpp"

namespace stackrig::host {
namespace {

using kvm::Capability;
using kvm::Exit;

constexpr std::chrono::milliseconds deadline{500};  // a busy machine is no missing capability

constexpr std::uint8_t vector_nmi = 2;
constexpr std::uint8_t vector_bp = 3;
constexpr std::uint8_t vector_pf = 14;
constexpr std::uint8_t vector_ud = 6;
constexpr std::uint8_t vector_mc = 18;
constexpr std::uint8_t vector_irq = 0x40;

constexpr std::uint64_t flag_if = 0x200;
constexpr std::uint64_t cr4_mce = 1ULL << 6;
constexpr std::uint64_t cr4_fsgsbase = 1ULL << 16;
constexpr std::uint64_t cr4_smep = 1ULL << 20;
constexpr std::uint64_t cr4_smap = 1ULL << 21;

// What one check saw. A failing ioctl (Result's error) also means "no", with its text as the detail.
struct Seen {
    bool ok = false;
    std::string detail;
};

using Check = Result<Seen> (*)(const kvm::System&, BareGuest&);

template <std::size_t N>
using Code = std::array<std::uint8_t, N>;

// Runs once and says where the guest stands then: "HLT at 0x7031".
Result<std::pair<Exit, std::string>> run_once(BareGuest& guest) {
    STACKRIG_TRY_ASSIGN(Exit exit, guest.cpu().run(deadline));
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, guest.cpu().regs());
    std::string text = fmt::format("{} at RIP {:#x}", kvm::describe(exit), regs.rip);
    return std::pair(std::move(exit), std::move(text));
}

// Runs once; ok when the guest then has halted in the handler of `vector`.
Result<Seen> expect_handler(BareGuest& guest, std::uint8_t vector) {
    STACKRIG_TRY_ASSIGN(const auto stop, run_once(guest));
    STACKRIG_TRY_ASSIGN(const auto halted_in, guest.halted_in());
    const bool ok = std::holds_alternative<kvm::Hlt>(stop.first) && halted_in == Vector(vector);
    return Seen{ok, ok ? fmt::format("vector {} taken", vector)
                       : fmt::format("{} instead of the handler of vector {}", stop.second, vector)};
}

// Runs once; ok when HLT has been executed at `behind` - 1.
Result<Seen> expect_hlt_before(BareGuest& guest, Gva behind) {
    STACKRIG_TRY_ASSIGN(const auto stop, run_once(guest));
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, guest.cpu().regs());
    const bool ok = std::holds_alternative<kvm::Hlt>(stop.first) && regs.rip == behind.value();
    return Seen{ok, ok ? stop.second : fmt::format("{} instead of HLT before {}", stop.second, behind)};
}

// Steps once; ok when the step ends at `pc`.
Result<Seen> expect_step_to(BareGuest& guest, Gva pc) {
    STACKRIG_TRY(guest.cpu().arm_single_step());
    STACKRIG_TRY_ASSIGN(const auto stop, run_once(guest));
    const auto* debug = std::get_if<kvm::Debug>(&stop.first);
    const bool ok = debug != nullptr && debug->pc == pc;
    return Seen{ok, ok ? stop.second : fmt::format("{} instead of a step to {}", stop.second, pc)};
}

Result<void> set_cr4(BareGuest& guest, std::uint64_t bits) {
    STACKRIG_TRY_ASSIGN(kvm::Sregs sregs, guest.cpu().sregs());
    sregs.cr4 |= bits;
    return guest.cpu().set_sregs(sregs);
}

// --- required: these five fail on a KVM that interprets ring 0 in software ---

Result<Seen> int3_in_kernel(const kvm::System&, BareGuest& guest) {
    STACKRIG_TRY(guest.start_kernel(Code<2>{0xcc, 0xf4}));  // int3; hlt
    return expect_handler(guest, vector_bp);
}

Result<Seen> syscall_from_user(const kvm::System&, BareGuest& guest) {
    STACKRIG_TRY(guest.start_user(Code<2>{0x0f, 0x05}));  // syscall
    STACKRIG_TRY_ASSIGN(const Seen arrived, expect_hlt_before(guest, BareGuest::syscall_entry + 3));
    if (!arrived.ok) {
        return arrived;
    }
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, guest.cpu().regs());
    STACKRIG_TRY_ASSIGN(const kvm::Sregs sregs, guest.cpu().sregs());
    const bool ok = (regs.rax & 0xffff) == BareGuest::kernel_cs &&
                    sregs.cs.selector == BareGuest::kernel_cs && sregs.ss.selector == BareGuest::kernel_ss &&
                    sregs.cs.dpl == 0;
    return Seen{ok, fmt::format("CS {:#x} and SS {:#x} at LSTAR, the guest reads CS as {:#x}",
                                sregs.cs.selector, sregs.ss.selector, regs.rax & 0xffff)};
}

Result<Seen> step_over_iretq(const kvm::System&, BareGuest& guest) {
    STACKRIG_TRY(guest.start_kernel(Code<2>{0x48, 0xcf}));  // iretq
    const std::array<std::uint64_t, 5> frame{BareGuest::user_code.value(), BareGuest::user_cs, 2,
                                             BareGuest::user_stack.value(), BareGuest::user_ss};
    const Gva frame_at = BareGuest::kernel_stack - sizeof(frame);
    STACKRIG_TRY(guest.memory().write(Gpa(frame_at.value()), frame));
    STACKRIG_TRY(guest.memory().write(Gpa(BareGuest::user_code.value()), Code<2>{0x90, 0x90}));
    STACKRIG_TRY_ASSIGN(kvm::Regs regs, guest.cpu().regs());
    regs.rsp = frame_at.value();
    STACKRIG_TRY(guest.cpu().set_regs(regs));
    STACKRIG_TRY_ASSIGN(const Seen after_iretq, expect_step_to(guest, BareGuest::user_code));
    if (!after_iretq.ok) {
        return after_iretq;
    }
    return expect_step_to(guest, BareGuest::user_code + 1);
}

// The second NMI arrives inside the handler of the first: it must wait, and come right after the handler's
// IRETQ.
Result<Seen> second_nmi_after_iretq(const kvm::System&, BareGuest& guest) {
    STACKRIG_TRY(guest.start_kernel(Code<2>{0x90, 0xf4}));  // nop; hlt
    STACKRIG_TRY(guest.cpu().inject_nmi());
    STACKRIG_TRY_ASSIGN(const Seen first, expect_handler(guest, vector_nmi));
    if (!first.ok) {
        return first;
    }
    STACKRIG_TRY(guest.cpu().inject_nmi());
    STACKRIG_TRY_ASSIGN(Seen second, expect_handler(guest, vector_nmi));
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, guest.cpu().regs());
    STACKRIG_TRY_ASSIGN(const auto return_to, guest.memory().read<std::uint64_t>(Gpa(regs.rsp)));
    second.ok = second.ok && return_to == BareGuest::kernel_code.value();
    second.detail += fmt::format(", to return to {:#x}", return_to);
    return second;
}

// An exit of the host's own that falls between STI and the next instruction can cost the shadow (nested SVM by TCG), and the window
// opens one boundary early; so there are several tries. A host that knows no shadow fails them all.
Result<Seen> irq_window(const kvm::System&, BareGuest& guest) {
    constexpr Gva after_shadow = BareGuest::kernel_code + 3;
    constexpr unsigned most_tries = 4;
    for (unsigned tries = 1;; ++tries) {
        STACKRIG_TRY(guest.start_kernel(Code<5>{0x90, 0xfb, 0x90, 0x90, 0xf4}));  // nop; sti; nop; nop; hlt
        guest.cpu().request_interrupt_window(true);
        STACKRIG_TRY_ASSIGN(const auto stop, run_once(guest));
        STACKRIG_TRY_ASSIGN(const kvm::Regs regs, guest.cpu().regs());
        const bool open = std::holds_alternative<kvm::IrqWindow>(stop.first);
        if (open && regs.rip == after_shadow.value()) {
            break;
        }
        if (!open || tries == most_tries) {
            return Seen{false, fmt::format("{} instead of an open window at {}", stop.second, after_shadow)};
        }
    }
    guest.cpu().request_interrupt_window(false);
    STACKRIG_TRY(guest.cpu().inject_interrupt(Vector(vector_irq)));
    return expect_handler(guest, vector_irq);
}

// --- optional: a scenario that needs one is skipped by its name ---

Result<Seen> single_step(const kvm::System&, BareGuest& guest) {
    STACKRIG_TRY(guest.start_kernel(Code<3>{0x90, 0x90, 0xf4}));  // nop; nop; hlt
    return expect_step_to(guest, BareGuest::kernel_code + 1);
}

// An interrupt shadow that is set from outside (a restored snapshot) must hold for one instruction. Where it
// does not (QEMU's TCG does not load it), the VMM has to keep events away from that boundary itself.
Result<Seen> shadow_set_from_outside(const kvm::System&, BareGuest& guest) {
    STACKRIG_TRY(guest.start_kernel(Code<3>{0x90, 0x90, 0xf4}));  // nop; nop; hlt
    STACKRIG_TRY_ASSIGN(kvm::Regs regs, guest.cpu().regs());
    regs.rflags |= flag_if;
    STACKRIG_TRY(guest.cpu().set_regs(regs));
    kvm::Events events;
    events.interrupt.shadow = kvm::shadow_sti;
    STACKRIG_TRY(guest.cpu().set_events(events));
    guest.cpu().request_interrupt_window(true);
    STACKRIG_TRY_ASSIGN(const auto stop, run_once(guest));
    STACKRIG_TRY_ASSIGN(regs, guest.cpu().regs());
    return Seen{
        std::holds_alternative<kvm::IrqWindow>(stop.first) && regs.rip == BareGuest::kernel_code.value() + 1,
        stop.second};
}

Result<Seen> syscall_from_compat(const kvm::System&, BareGuest& guest) {
    STACKRIG_TRY(guest.start_user(Code<2>{0x0f, 0x05}, true));  // syscall
    return expect_hlt_before(guest, BareGuest::compat_entry + 1);
}

Result<Seen> machine_check(const kvm::System& system, BareGuest& guest) {
    STACKRIG_TRY_ASSIGN(const std::uint64_t supported, system.mce_capabilities());
    constexpr std::uint64_t bank_count = 0xff;
    STACKRIG_TRY(guest.cpu().set_up_mce((supported & ~bank_count) | 1));
    STACKRIG_TRY(guest.start_kernel(Code<2>{0x90, 0xf4}));  // nop; hlt
    STACKRIG_TRY(set_cr4(guest, cr4_mce));
    constexpr std::uint64_t valid_uncorrected = 1ULL << 63 | 1ULL << 61 | 1ULL << 60;
    constexpr std::uint64_t in_progress = 4;
    STACKRIG_TRY(guest.cpu().inject_mce({.status = valid_uncorrected, .mcg_status = in_progress, .bank = 0}));
    return expect_handler(guest, vector_mc);
}

/// An exception that no instruction has caused, raised from outside between two instructions of ring 3.
Result<Seen> exception_from_outside(const kvm::System&, BareGuest& guest) {
    STACKRIG_TRY(guest.start_user(Code<2>{0xeb, 0xfe}));  // jmp .
    kvm::Events events;
    STACKRIG_TRY_ASSIGN(events, guest.cpu().events());
    events.exception.injected = 1;
    events.exception.nr = vector_ud;
    STACKRIG_TRY(guest.cpu().set_events(events));
    return expect_handler(guest, vector_ud);
}

Result<Seen> dirty_log(const kvm::System&, BareGuest& guest) {
    // mov byte [BareGuest::data], 1; hlt
    STACKRIG_TRY(guest.start_kernel(Code<9>{0xc6, 0x04, 0x25, 0x00, 0x00, 0x03, 0x00, 0x01, 0xf4}));
    STACKRIG_TRY(guest.vm().set_dirty_log(BareGuest::ram_slot, true));
    const auto stop = run_once(guest);
    std::vector<std::uint64_t> bits;
    const auto taken = guest.vm().take_dirty_log(BareGuest::ram_slot, bits);
    STACKRIG_TRY(guest.vm().set_dirty_log(BareGuest::ram_slot, false));
    STACKRIG_TRY(stop);
    STACKRIG_TRY(taken);
    constexpr std::uint64_t page = BareGuest::data.value() >> page_shift;
    const bool ok = (bits[page / 64] >> (page % 64) & 1) != 0;
    return Seen{ok, fmt::format("pages {:#x} logged after a write to page {:#x}", bits[0], page)};
}

Result<Seen> read_only_slot(const kvm::System& system, BareGuest& guest) {
    STACKRIG_TRY_ASSIGN(const std::uint32_t value, system.check(Capability::readonly_mem));
    if (value == 0) {
        return Seen{false, "KVM_CAP_READONLY_MEM is absent"};
    }
    // mov byte [BareGuest::no_memory], 1; hlt
    STACKRIG_TRY(guest.start_kernel(Code<9>{0xc6, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00, 0x01, 0xf4}));
    STACKRIG_TRY_ASSIGN(kvm::Memory page, kvm::Memory::create(Gpa(BareGuest::no_memory.value()), page_size));
    const kvm::SlotId slot(1);
    STACKRIG_TRY(guest.vm().add_slot(
        {.id = slot, .base = page.base(), .host = page.unrecorded_bytes(), .read_only = true}));
    const auto stop = run_once(guest);
    STACKRIG_TRY(guest.vm().delete_slot(slot));
    STACKRIG_TRY(stop);
    return Seen{std::holds_alternative<kvm::MmioWrite>(stop->first), stop->second};
}

Result<Seen> sync_regs(const kvm::System& system, BareGuest&) {
    STACKRIG_TRY_ASSIGN(const std::uint32_t value, system.check(Capability::sync_regs));
    constexpr std::uint32_t regs_sregs_events = 7;
    return Seen{(value & regs_sregs_events) == regs_sregs_events,
                fmt::format("KVM_CAP_SYNC_REGS is {:#x}", value)};
}

// Runs once; ok when that gave a #PF with this error code (SDM 3A 4.7: bit 0 protection, 4 instruction
// fetch).
Result<Seen> expect_page_fault(BareGuest& guest, std::uint64_t error_code) {
    STACKRIG_TRY_ASSIGN(Seen seen, expect_handler(guest, vector_pf));
    STACKRIG_TRY_ASSIGN(const kvm::Regs regs, guest.cpu().regs());
    STACKRIG_TRY_ASSIGN(const auto pushed, guest.memory().read<std::uint64_t>(Gpa(regs.rsp)));
    if (seen.ok) {
        seen = {pushed == error_code, fmt::format("#PF with error code {:#x}", pushed)};
    }
    return seen;
}

// Ring 0 runs code of a user page: with SMEP that is a #PF.
Result<Seen> smep(const kvm::System&, BareGuest& guest) {
    STACKRIG_TRY(guest.start_kernel(Code<5>{0xe9, 0xfb, 0x0f, 0x00, 0x00}));  // jmp BareGuest::user_code
    STACKRIG_TRY(guest.memory().write(Gpa(BareGuest::user_code.value()), std::uint8_t{0xf4}));
    STACKRIG_TRY(set_cr4(guest, cr4_smep));
    return expect_page_fault(guest, 0x11);
}

// Ring 0 reads a user page: with SMAP that is a #PF.
Result<Seen> smap(const kvm::System&, BareGuest& guest) {
    // mov al, [BareGuest::user_code]; hlt
    STACKRIG_TRY(guest.start_kernel(Code<8>{0x8a, 0x04, 0x25, 0x00, 0x10, 0x01, 0x00, 0xf4}));
    STACKRIG_TRY(set_cr4(guest, cr4_smap));
    return expect_page_fault(guest, 0x1);
}

Result<Seen> fsgsbase(const kvm::System&, BareGuest& guest) {
    STACKRIG_TRY(guest.start_kernel(Code<6>{0xf3, 0x48, 0x0f, 0xae, 0xc8, 0xf4}));  // rdgsbase rax; hlt
    STACKRIG_TRY(set_cr4(guest, cr4_fsgsbase));
    return expect_hlt_before(guest, BareGuest::kernel_code + 6);
}

// kvm-amd's npt=0 or kvm-intel's ept=0: KVM walks the guest's tables and keeps shadow ones.
bool shadow_paging() {
    for (const char* file : {"/sys/module/kvm_amd/parameters/npt", "/sys/module/kvm_intel/parameters/ept"}) {
        std::ifstream in(file);
        char value = 0;
        if (in >> value) {
            return value == 'N' || value == '0';
        }
    }
    return false;
}

// A page read once, its PTE changed by the guest, read again after an exit: without INVLPG shadow tables give the old page, always. A
// hardware TLB may or may not, which is no ground to stand a verdict on.
Result<Seen> stale_translation(const kvm::System&, BareGuest& guest) {
    constexpr auto pte = static_cast<std::uint32_t>(BareGuest::page_table.value() + (BareGuest::data.value() >> page_shift) * 8);
    const Gpa data(BareGuest::data.value());
    STACKRIG_TRY(guest.memory().write(data, std::uint32_t{1}));
    STACKRIG_TRY(guest.memory().write(data + page_size, std::uint32_t{2}));
    // mov eax, [data]; mov [pte], rbx; hlt; mov eax, [data]; hlt
    STACKRIG_TRY(guest.start_kernel(Code<24>{0x8b, 0x04, 0x25, 0x00, 0x00, 0x03, 0x00, 0x48, 0x89, 0x1c, 0x25, pte & 0xff, pte >> 8 & 0xff, pte >> 16 & 0xff,
                                             pte >> 24, 0xf4, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x03, 0x00, 0xf4}));
    STACKRIG_TRY_ASSIGN(const auto entry, guest.memory().read<std::uint64_t>(Gpa(pte)));
    STACKRIG_TRY_ASSIGN(kvm::Regs regs, guest.cpu().regs());
    regs.rbx = entry + page_size;
    STACKRIG_TRY(guest.cpu().set_regs(regs));
    STACKRIG_TRY(run_once(guest));
    STACKRIG_TRY_ASSIGN(const auto stop, run_once(guest));
    STACKRIG_TRY_ASSIGN(regs, guest.cpu().regs());
    const bool stale = std::holds_alternative<kvm::Hlt>(stop.first) && regs.rax == 1;
    const bool shadow = shadow_paging();
    return Seen{stale && shadow, fmt::format("{} paging, and the {} page is read", shadow ? "shadow" : "nested", stale ? "old" : "new")};
}

struct Row {
    const char* name;
    bool required;
    Check check;
};

constexpr std::array rows{
    Row{"int3.kernel", true, int3_in_kernel},
    Row{"syscall.64", true, syscall_from_user},
    Row{"step.iretq", true, step_over_iretq},
    Row{"inject.nmi", true, second_nmi_after_iretq},
    Row{"inject.irq", true, irq_window},
    Row{"guest_debug", true, single_step},
    Row{"dirty_log", true, dirty_log},
    Row{"inject.mc", false, machine_check},
    Row{"inject.exception", false, exception_from_outside},
    Row{"syscall.compat", false, syscall_from_compat},
    Row{"shadow.set", false, shadow_set_from_outside},
    Row{"slot.readonly", false, read_only_slot},
    Row{"sync_regs", false, sync_regs},
    Row{"tlb.stale", false, stale_translation},
    Row{"smep", false, smep},
    Row{"smap", false, smap},
    Row{"fsgsbase", false, fsgsbase},
};

}  // namespace

bool ProbeReport::has(std::string_view name) const {
    return std::ranges::any_of(items, [name](const ProbeItem& item) { return item.ok && item.name == name; });
}

std::string ProbeReport::why_not() const {
    std::string text;
    for (const ProbeItem& item : items) {
        if (item.required && !item.ok) {
            text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", item.name, item.detail);
        }
    }
    return text;
}

void ProbeReport::add(const std::vector<ProbeItem>& more) {
    items.insert(items.end(), more.begin(), more.end());
    sufficient = std::ranges::all_of(items, [](const ProbeItem& item) { return item.ok || !item.required; });
}

std::vector<std::string> probe_names() {
    std::vector<std::string> names;
    std::ranges::transform(rows, std::back_inserter(names), &Row::name);
    return names;
}

Result<ProbeReport> probe(const kvm::System& system) {
    STACKRIG_TRY_ASSIGN(BareGuest guest, BareGuest::create(system));
    ProbeReport report;
    for (const Row& row : rows) {
        const Result<Seen> seen = row.check(system, guest);
        report.add({{row.name, row.required, seen && seen->ok, seen ? seen->detail : seen.error().text}});
    }
    return report;
}

}  // namespace stackrig::host
