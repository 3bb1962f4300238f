// Results made by hand for the tests of reports.
#pragma once

#include "vmm/explore/result.hpp"

namespace stackrig::report::test {

[[nodiscard]] inline explore::ScenarioResult passed() {
    return {.file = "scenarios/a.toml", .name = "a", .why = "Because.", .claims = {"C3", "C4"}, .verdict = explore::Verdict::pass,
            .stops = 28, .line = 4};
}

/// Two CPUs, of which cpu1 stopped inside ENTER of B, which has one page; A holds the reserve.
[[nodiscard]] inline oracle::Moment moment(std::uint64_t stop) {
    oracle::Moment m{.stop = stop, .step = 1, .cpu = 1, .kind = "mark", .cause = "mark enter.short", .free_pages = 5,
                     .violated = {"INV-19"}};
    oracle::MomentCpu cpu{.context = oracle::Context::entry, .symbol = "enter+0x26d", .stack = "B's stack, P0, 280 bytes deep",
                          .thread = "B", .doing = "inside ENTER (device)", .cache = {1, 2}, .reserve = {3}, .hands = {4}};
    cpu.regs = {.cpu = CpuId{1}, .rip = Gva(0xffffffff8010959d), .rsp = Gva(0xffffc90000017ee8), .rflags = 2, .cs = 0x10,
                .cr2 = Gva(0x1234), .cr3 = Gpa(0x5000), .gs_base = Gva(0xffff888000000000), .nmi_masked = true};
    cpu.regs.gpr[7] = cpu.regs.rsp.value();
    cpu.regs.gpr[15] = 0xfedcba9876543210;
    m.cpus = {{.context = oracle::Context::user, .symbol = "user_main", .thread = "A"}, cpu};
    oracle::MomentThread a{.name = "A", .kind = "user", .state = "running", .doing = "user mode", .slot = 1, .cpu = 0};
    a.pages = {{{0x8000000000157063, "own"}, {0x8000000000154003, "RESERVE of cpu1"}, {0x8000000000155003, "RESERVE of cpu1"},
                {0x8000000000156003, "RESERVE of cpu1"}}};
    oracle::MomentThread b{.name = "B", .kind = "user", .state = "running", .doing = "inside ENTER (device)", .slot = 2, .depth = 280,
                           .on_own_stack = true, .cpu = 1};
    b.pages[0] = {0x8000000000161063, "own"};
    m.threads = {a, b};
    return m;
}

[[nodiscard]] inline explore::ScenarioResult refuted() {
    explore::ScenarioResult r{.file = "scenarios/b.toml", .name = "b", .why = "Since.", .claims = {"C7"},
                              .verdict = explore::Verdict::expected_violation, .expected_id = "INV-19", .stops = 32,
                              .trace_hash = 0xfedcba9876543210, .steps = {"inject irq(timer) on cpu1", "run B until mark(enter.short)", "run"},
                              .last_step = 1, .line = 12};
    const std::vector<explore::CodeLine> code = {
        {0xffffffff80109598, "enter+0x268", "sub edx, ecx", "guest/stack/entry_exit.cpp", 75, "mark(Mark::enter_short, t->id);"},
        {0xffffffff8010959b, "enter+0x26b", "out 0xe0, eax", "guest/kernel/mark.hpp", 14, "asm volatile(\"outl %%eax, %4\""},
        {0xffffffff8010959d, "enter+0x26d", "mov qword ptr [rsp - 0x2000], rdi", "guest/stack/entry_exit.cpp", 76,
         "panic(\"enter_from_user_mode(): no page left, and this entry may not sleep\");"},
        {0xffffffff801095a5, "enter+0x275", "call panic", "guest/stack/entry_exit.cpp", 76, ""}};
    r.violations = {{.id = "INV-19",
                     .text = "B enters by device on cpu1 and needs the reserve, but A still holds 3 of its pages (user mode): a second one "
                             "is needed.",
                     .where = "cpu1 thread B enter+0x26d",
                     .step = "run B until mark(enter.short)",
                     .stop = 32,
                     .picture = "stop 32 on cpu1: mark enter.short\nA     [#RRR] user    running, user mode\n",
                     .line = 12,
                     .moment = moment(32),
                     .code = code,
                     .access = "0xffffc90000015ee8: P2 of B's stack, not present",
                     .before_stop = 31}};
    r.violations[0].before = moment(31).cpus[1].regs;
    r.violations[0].before.gpr[0] = 5;
    r.violations[0].before.rip = Gva(0xffffffff80106998);
    // The first is an IPI: no step of the schedule asked for it.
    r.landings = {{"irq(0xfd)", "default_idle+0x1", true, "", 0xffffffff80106000, {}},
                  {"irq(timer)", "user_mark+0x7", true, "", 0x400007, {{0x400007, "user_mark+0x7", "ret", "guest/user/user.cpp", 23, "}"}}}};
    r.notes = {"INV-17 at stop 24: the reserve holds 0 of 3"};
    r.console = {"no page left"};
    return r;
}

[[nodiscard]] inline explore::ScenarioResult with(explore::Verdict verdict, const std::string& reason = "") {
    explore::ScenarioResult r = passed();
    r.verdict = verdict;
    r.reason = reason;
    return r;
}

}  // namespace stackrig::report::test
