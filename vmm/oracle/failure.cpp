// The guest's own words about failure: panic, damaged stack data, warnings.
#include <fmt/format.h>
#include <algorithm>

#include "vmm/oracle/families.hpp"

namespace stackrig::oracle::failure {
namespace {

constexpr std::string_view file = "vmm/oracle/failure.cpp";
constexpr unsigned everywhere = under_fixed | under_entry_exit;

constexpr Invariant all[] = {
    {Inv::inv26, "INV-26", "the kernel does not give up", "", "",
     "ENTER, EXIT and the wait never panic and never BUG; nor does the rest of the kernel.",
     "At the panic mark, from the first instruction on.", file, Basis::rig, everywhere},
    {Inv::i16, "I16", "data on the stack survives", "", "",
     "What a function left on its kernel stack, and in the registers that those it calls must preserve, is there when it looks "
     "again: after sleeping, events, and deeper calls. IRQs are on or off as before.",
     "At canary.bad, raised by the guest when a canary in its stack frames has changed; registers and IF are "
     "compared there.", file, Basis::rig, everywhere},
    {Inv::warn, "WARN", "the kernel has no complaints", "", "", "The guest raises no warning.",
     "At the warn mark. A note: it ends no run.", file, Basis::note, everywhere},
};

constexpr std::uint64_t longest_text = 200;

std::string guest_text(const Scene& s, std::uint64_t pointer, std::uint64_t length) {
    const std::uint64_t bytes = std::min(length, longest_text);
    const auto at = gpa_of(pointer, bytes, 1, s.view.stop->memory.size_bytes());
    std::string text(bytes, '?');
    if (!at || !s.view.stop->memory.read(*at, std::as_writable_bytes(std::span(text)))) {
        return fmt::format("(no readable text at {:#x})", pointer);
    }
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '.');
    return text;
}

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    const engine::MarkStop* mark = s.mark();
    s.judge.examine(Inv::inv26);
    s.judge.examine(Inv::i16);
    s.judge.examine(Inv::warn);
    if (mark == nullptr) {
        return;
    }
    const std::vector<ThreadId> who = !s.view.cpus.empty() && s.view.here().running
                                          ? std::vector{*s.view.here().running}
                                          : std::vector<ThreadId>{};
    if (mark->mark == abi::Mark::panic) {
        s.judge.report(
            Inv::inv26, who, "panic",
            fmt::format("The kernel panics on {}: {}", s.cpu(), guest_text(s, mark->args[0], mark->args[1])));
    } else if (mark->mark == abi::Mark::warn) {
        s.judge.report(
            Inv::warn, who, fmt::format("warning at {:#x}", mark->args[0]),
            fmt::format("The kernel warns on {}: {}", s.cpu(), guest_text(s, mark->args[0], mark->args[1])));
    } else if (mark->mark == abi::Mark::canary_bad) {
        s.judge.report(
            Inv::i16, who, fmt::format("canary at {:#x}", mark->args[1]),
            fmt::format("The canary at {:#x}, for data on the stack, a register that callees preserve, or IF, has changed to {:#x}.", mark->args[1], mark->args[2]));
    }
}

}  // namespace stackrig::oracle::failure
