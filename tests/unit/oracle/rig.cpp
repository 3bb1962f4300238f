// The literal scheme, as the kernel's hooks do it.
#include "tests/unit/oracle/rig.hpp"

#include <algorithm>
#include <utility>

namespace stackrig::oracle::test {
namespace {

constexpr std::uint64_t if_bit = 0x200;

engine::RunPlan plan_of(const Setup& setup) {
    engine::RunPlan run;
    engine::GuestPlan& plan = run.guest;
    plan.scheme = setup.scheme;
    plan.cpus = setup.cpus;
    plan.cache_pages = setup.cache;
    plan.reserve_pages = setup.reserve;
    plan.policies = setup.policies;
    plan.bail_outs = setup.bail_outs;
    run.threads = setup.threads;
    return run;
}

}  // namespace

Rig::Rig(const Setup& setup, std::string_view expected)
    : g(setup), cpus(setup.cpus), oracle(plan_of(setup), Gpa(FakeGuest::state_pa), expected) {
    for (std::uint32_t i = 0; i < setup.cpus; ++i) {
        cpus[i].cpu = CpuId(i);
        in_kernel(i, false, 64, i);
    }
}

Rig::~Rig() {
    if (random) {
        return;
    }
    keep_texts(violations);
    keep_texts(oracle.notes());
}

void Rig::stop(engine::StopCause cause, std::uint32_t cpu) {
    const engine::Stop now{++index_, 0, CpuId(cpu), std::move(cause), cpus, g.ram, every_instruction, std::exchange(invalidated, {})};
    for (const Violation& v : oracle.observe(now)) {
        violations.push_back(v);
    }
}

void Rig::end(engine::Ending ending, std::uint32_t cpu) {
    const engine::Stop last{index_, 0, CpuId(cpu), engine::HaltStop{}, cpus, g.ram};
    for (const Violation& v : oracle.at_end(last, ending)) {
        violations.push_back(v);
    }
}

void Rig::mark(Mark which, std::uint64_t x, std::uint64_t y, std::uint64_t z, std::uint32_t cpu) {
    stop(engine::MarkStop{which, {x, y, z}}, cpu);
}

void Rig::set_irqs(bool on, std::uint32_t cpu) {
    std::uint64_t& flags = cpus[cpu].rflags;
    flags = on ? flags | if_bit : flags & ~if_bit;
}

void Rig::in_user(std::uint32_t id, std::uint32_t cpu) {
    cpus[cpu].cs = abi::user_cs;
    cpus[cpu].rsp = Gva(abi::user_stack_va + 0xf00);
    cpus[cpu].rip = Gva(abi::user_text_va);
    cpus[cpu].cr3 = Gpa(g.thread(id).cr3);
    set_irqs(true, cpu);
}

void Rig::in_kernel(std::uint32_t id, bool irqs, std::uint64_t depth, std::uint32_t cpu) {
    cpus[cpu].cs = abi::kernel_cs;
    cpus[cpu].rsp = Gva(abi::stack_top(g.thread(id).slot) - depth);
    cpus[cpu].rip = Gva(abi::kernel_map_base + 0x100000);
    cpus[cpu].cr3 = Gpa(g.thread(id).cr3);
    set_irqs(irqs, cpu);
}

void Rig::on_cpu_stack(abi::CpuStack which, std::uint32_t cpu) {
    cpus[cpu].cs = abi::kernel_cs;
    cpus[cpu].rsp = Gva(abi::cpu_stack_top(cpu, which) - 256);
    set_irqs(false, cpu);
}

void Rig::boot() { mark(Mark::boot_done); }

void Rig::switch_to(std::uint32_t from, std::uint32_t to) {
    set_irqs(false);
    if (g.thread(from).state == abi::ThreadState::running) {
        g.thread(from).state = abi::ThreadState::runnable;
    }
    g.thread(to).state = abi::ThreadState::running;
    mark(Mark::switch_to, from, to);
    g.thread(from).saved_rsp = cpus[0].rsp.value();
    in_kernel(to, false, abi::stack_top(g.thread(to).slot) - g.thread(to).saved_rsp);
    g.cpu().current = FakeGuest::thread_pointer(to);
    mark(Mark::switched, from, to);
}

void Rig::first_run(std::uint32_t id, std::uint32_t from) {
    switch_to(from, id);
    exit(id);
    leave(id);
}

void Rig::boot_to_user() {
    boot();
    first_run(g.a);
}

bool Rig::take(std::uint32_t id, abi::FrameStash& stash, StackSource source) {
    if (stash.count == 0) {
        return false;
    }
    const std::uint32_t pfn = stash.pfn[stash.count - 1];
    FakeGuest::push(g.cpu().hands, pfn);
    FakeGuest::pop(stash);
    mark(Mark::enter_take, id, static_cast<std::uint64_t>(source), pfn);
    return true;
}

bool Rig::take_free(std::uint32_t id) {
    stop(engine::ChoiceStop{abi::Choice::alloc, {0, id}, alloc_denied ? 0u : 1u});
    const std::uint32_t pfn = alloc_denied ? 0 : g.alloc(abi::FrameUse::stack);
    if (pfn == 0) {
        return false;
    }
    FakeGuest::push(g.cpu().hands, pfn);
    mark(Mark::enter_take, id, static_cast<std::uint64_t>(StackSource::nowait), pfn);
    return true;
}

bool Rig::take_ordinary(std::uint32_t id) {
    g.thread(id).source = StackSource::cache;
    while (g.cpu().hands.count < 3) {
        if (!take(id, g.cpu().cache, StackSource::cache) && !take_free(id)) {
            return false;
        }
    }
    return true;
}

void Rig::map_hands(std::uint32_t id) {
    for (unsigned i = 1; i <= 3; ++i) {
        const std::uint32_t pfn = FakeGuest::pop(g.cpu().hands);
        g.map(id, i, pfn);
        mark(Mark::enter_pte, id, i, pfn);
    }
}

void Rig::enter(std::uint32_t id, Entry entry) {
    const auto number = static_cast<std::uint64_t>(entry);
    abi::Thread& t = g.thread(id);
    in_kernel(id);
    t.entry = entry;
    mark(Mark::enter_begin, id, number);
    if (take_ordinary(id)) {
        map_hands(id);
    } else if (abi::entry_class(entry).listed) {
        while (g.cpu().hands.count > 0) {
            FakeGuest::push(g.cpu().cache, FakeGuest::pop(g.cpu().hands));
        }
        t.source = StackSource::none;
        t.pend = 1;
    } else {
        t.source = g.cpu().hands.count == 0 ? StackSource::reserve : StackSource::mixed;
        while (g.cpu().hands.count < 3) {
            if (!take(id, g.cpu().reserve, StackSource::reserve)) {
                mark(Mark::enter_short, id, number, 3 - g.cpu().hands.count);
                return;
            }
            ++t.loan;
        }
        map_hands(id);
    }
    mark(Mark::enter_done, id, number, t.pend);
}

void Rig::exit(std::uint32_t id) {
    abi::Thread& t = g.thread(id);
    in_kernel(id);
    mark(Mark::exit_begin, id);
    for (unsigned i = 1; i <= 3; ++i) {
        if (g.page(id, i) != 0) {
            const std::uint32_t pfn = g.pfn_of(id, i);
            FakeGuest::push(g.cpu().hands, pfn);
            g.page(id, i) = 0;
            mark(Mark::exit_pte, id, i, pfn);
        }
    }
    while (g.cpu().hands.count > 0) {
        const std::uint32_t pfn = FakeGuest::pop(g.cpu().hands);
        const bool lent = t.loan > 0;
        FakeGuest::push(lent ? g.cpu().reserve : g.cpu().cache, pfn);
        t.loan -= lent ? 1 : 0;
        mark(Mark::exit_give, id,
             static_cast<std::uint64_t>(lent ? StackSource::reserve : StackSource::cache), pfn);
    }
    t.source = StackSource::none;
    mark(Mark::exit_done, id);
}

void Rig::leave(std::uint32_t id) {
    g.thread(id).entry = Entry::none;
    in_user(id);
    user_stop();
}

void Rig::handler(Entry entry, bool from_user, bool nothing_to_do, std::uint32_t cpu) {
    mark(Mark::handler_begin, static_cast<std::uint64_t>(entry), from_user, nothing_to_do, cpu);
    if (!nothing_to_do) {
        mark(Mark::handler_end, static_cast<std::uint64_t>(entry), from_user, 0, cpu);
    }
}

void Rig::irq_on(std::uint32_t id, Entry entry) {
    set_irqs(true);
    mark(Mark::irq_on, id, static_cast<std::uint64_t>(entry));
}

void Rig::sleep(std::uint32_t id, abi::WaitKind kind, std::uint32_t object, std::uint32_t to) {
    set_irqs(false);
    abi::Thread& t = g.thread(id);
    t.state = abi::ThreadState::blocked;
    t.wait_kind = kind;
    t.wait_object = object;
    mark(Mark::sleep, id, static_cast<std::uint64_t>(kind), object);
    switch_to(id, to);
}

void Rig::wait_for_pages(std::uint32_t id) {
    enter(id, Entry::syscall64);
    irq_on(id, Entry::syscall64);
    mark(Mark::wait_begin, id, static_cast<std::uint64_t>(Entry::syscall64));
    sleep(id, abi::WaitKind::pages);
}

bool Rig::fired(Inv inv) const {
    return std::any_of(violations.begin(), violations.end(),
                       [inv](const Violation& v) { return v.inv == inv; });
}

std::string Rig::all() const {
    std::string out;
    for (const Violation& v : violations) {
        out += fmt::format("{} at stop {}: {}\n", v.id, v.stop, v.text);
    }
    return out.empty() ? "no violation" : out;
}

}  // namespace stackrig::oracle::test
