// The table of policies, the preset `proposed`, and the combinations that make no sense.
#include "vmm/scenario/policies.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "vmm/scenario/table.hpp"

namespace stackrig::scenario {
namespace {

using abi::Policies;

std::uint32_t value_of(const Policies& policies, const PolicyKey& key) {
    std::uint32_t value = 0;
    std::memcpy(&value, reinterpret_cast<const std::byte*>(&policies) + key.offset, sizeof value);
    return value;
}

void set_value(Policies& policies, const PolicyKey& key, std::size_t value) {
    const auto number = static_cast<std::uint32_t>(value);
    std::memcpy(reinterpret_cast<std::byte*>(&policies) + key.offset, &number, sizeof number);
}

constexpr const char* preset_word = "proposed";

/// The repair's words, and the name of the preset.
std::vector<std::string> words_of(const PolicyKey& key) {
    std::vector<std::string> words = key.words;
    if (std::string_view(key.key) == "repair") {
        words.emplace_back(preset_word);
    }
    return words;
}

void refuse(const Table& guest, const char* key, std::string text, std::string hint) {
    const Member* member = guest.value().member(key);
    guest.error(member != nullptr ? member->value.span : guest.value().span, std::move(text), std::move(hint));
}

bool chose_preset(const Table& guest) {
    const Member* repair = guest.value().member("repair");
    return repair != nullptr && repair->value.text.text == preset_word;
}

void refuse_impossible(const Table& guest, const Policies& p, std::uint32_t reserve_pages) {
    if (p.repair == abi::Repair::irq_stack && p.classes == abi::Classes::seed_literal) {
        refuse(guest, "repair", "repair \"irq-stack\" needs classes = \"corrected\"",
               "by the mail's list #GP and its like never sleep; on the IRQ stack they could not, and they do");
    }
    if (p.repair == abi::Repair::deep_reserve && (reserve_pages < 6 || reserve_pages % abi::extra_pages != 0)) {
        refuse(guest, "repair", fmt::format("repair \"deep-reserve\" with {} reserve pages", reserve_pages),
               "a deep reserve holds several sets of three: write reserve_pages = 6, 9, ...");
    }
    const bool pool = p.repair == abi::Repair::global_pool;
    const bool emergency = p.kill == abi::Kill::emergency;
    if ((pool || emergency) && p.pool_pages < abi::extra_pages) {
        refuse(guest, pool ? "repair" : "kill", fmt::format("{} needs a pool", pool ? "repair \"global-pool\"" : "kill \"emergency\""),
               "write pool_pages = 3 or more: fewer do not make one stack");
    }
    if (pool && emergency) {
        refuse(guest, "kill", "one pool cannot be both the entries' last resort and set aside for the dying",
               "what an interrupt has taken would be missing when somebody has to die; choose one of them");
    }
    if (p.wait == abi::Wait::itself && p.kill != abi::Kill::uninterruptible) {
        refuse(guest, "kill", "a thread that allocates by itself does not listen to signals", "write wait = \"event\", \"fifo\" or \"priority\"");
    }
}

}  // namespace

const std::vector<PolicyKey>& policy_keys() {
    static const std::vector<PolicyKey> keys = {
        {"repair", "what becomes of reserve pages in the exit loop", {"literal", "repay-before-irq-on", "give-back", "deep-reserve", "irq-stack", "global-pool"}, offsetof(Policies, repair)},
        {"refill", "who fills the reserve again", {"borrower", "any-exit", "kthread", "schedule"}, offsetof(Policies, refill)},
        {"flush", "when translations are invalidated", {"unmap", "none", "map", "both", "switch-in", "ipi", "deferred"}, offsetof(Policies, flush)},
        {"flush_with", "by which instruction", {"invlpg", "cr3"}, offsetof(Policies, flush_with)},
        {"global", "PTE.G of stack pages", {"on", "off"}, offsetof(Policies, global)},
        {"wait", "how a thread waits for pages", {"event", "fifo", "priority", "itself"}, offsetof(Policies, wait)},
        {"kill", "a waiter with a fatal signal", {"uninterruptible", "killable", "emergency"}, offsetof(Policies, kill)},
        {"nmi", "the stack of an NMI from user mode", {"thread-stack", "ist"}, offsetof(Policies, nmi)},
        {"new_thread", "the stack of a new user thread", {"top-page", "full", "expand"}, offsetof(Policies, new_thread)},
        {"workers", "user-typed threads that stay in the kernel", {"as-user", "as-kthread"}, offsetof(Policies, workers)},
        {"return_to", "the cache that pages go back to", {"executing", "origin"}, offsetof(Policies, return_to)},
        {"unmap_order", "the order in which an exit unmaps pages, against that of mapping them; same: they come back at other places", {"reverse", "same"}, offsetof(Policies, unmap_order)},
        {"zero", "old contents of pages", {"never", "on-return", "on-map"}, offsetof(Policies, zero)},
        {"death", "the pages of a dead thread", {"cache", "buddy"}, offsetof(Policies, death)},
        {"cpu_up", "a CPU for which there are no pages", {"allow", "fail"}, offsetof(Policies, cpu_up)},
        {"erase", "KSTACK_ERASE", {"off", "after-exit", "before-exit"}, offsetof(Policies, erase), PolicyOf::kernel},
        {"readers", "reading another thread's stack", {"raw", "nofault"}, offsetof(Policies, readers)},
        {"irq_from_user", "the stack of an interrupt from user mode", {"task-stack", "irq-stack"}, offsetof(Policies, irq_from_user), PolicyOf::kernel},
        {"preempt", "kernel preemption", {"none", "full"}, offsetof(Policies, preempt), PolicyOf::kernel},
        {"sleepers", "the extra pages of sleepers", {"keep", "shed"}, offsetof(Policies, sleepers)},
        {"classes", "which entries may wait", {"seed-literal", "corrected"}, offsetof(Policies, classes)},
    };
    return keys;
}

Policies literal() { return {.cache_cap = abi::stash_capacity}; }

Policies proposed() {
    Policies p = literal();
    p.repair = abi::Repair::give_back;
    p.refill = abi::Refill::any_exit;
    p.flush = abi::Flush::deferred;
    p.wait = abi::Wait::fifo;
    p.kill = abi::Kill::emergency;
    p.nmi = abi::NmiFromUser::ist;
    p.new_thread = abi::NewThread::full;
    p.workers = abi::Workers::as_kthread;
    p.zero = abi::Zero::on_return;
    p.death = abi::Death::buddy;
    p.cpu_up = abi::CpuUp::fail;
    p.erase = abi::Erase::before_exit;
    p.readers = abi::Readers::nofault;
    p.sleepers = abi::Sleepers::shed;
    p.classes = abi::Classes::corrected;
    p.cache_cap = 12;
    p.pool_pages = abi::extra_pages;
    return p;
}

const std::string& word_of(const PolicyKey& key, const Policies& policies) { return key.words[value_of(policies, key)]; }

Policies read_policies(const Table& guest, abi::Scheme scheme, std::uint32_t reserve_pages) {
    Policies policies = chose_preset(guest) ? proposed() : literal();
    for (const PolicyKey& key : policy_keys()) {
        const auto chosen = guest.choice(key.key, words_of(key));
        if (chosen && scheme == abi::Scheme::fixed && *chosen != 0) {
            refuse(guest, key.key, fmt::format("\"{}\" means nothing to scheme \"fixed\": its stacks never change", key.key), "leave it out");
        }
        if (chosen && *chosen < key.words.size()) {
            set_value(policies, key, *chosen);
        }
    }
    const auto pages = [&](const char* key, std::uint32_t& into) {
        into = static_cast<std::uint32_t>(guest.integer(key, 0, abi::stash_capacity).value_or(into));
    };
    pages("cache_cap", policies.cache_cap);
    pages("pool_pages", policies.pool_pages);
    refuse_impossible(guest, policies, reserve_pages);
    return policies;
}

}  // namespace stackrig::scenario
