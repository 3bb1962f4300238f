// Old contents of stack pages that change hands.
#include <fmt/format.h>
#include <array>

#include "vmm/oracle/families.hpp"

namespace stackrig::oracle::leak {
namespace {

constexpr Invariant all[] = {
    {Inv::inv25, "INV-25", "no thread finds another one's data on its stack", "", "",
     "Where the policy says that pages are cleared, a page that is mapped into a stack holds zeros only. Not "
     "applicable under "
     "the policy `never`, which is how the mail leaves it.",
     "At enter.pte, all bytes of the frame that was mapped.", "vmm/oracle/leak.cpp", Basis::derived,
     under_entry_exit},
};

}  // namespace

std::span<const Invariant> rows() { return all; }

void check(const Scene& s) {
    if (s.policies.zero == abi::Zero::never || !s.at(abi::Mark::enter_pte) || !s.history.turn().thread ||
        !s.judge.examine(Inv::inv25)) {
        return;
    }
    const ThreadId t = *s.history.turn().thread;
    const auto index = static_cast<std::uint8_t>(s.mark()->args[1] & 3);
    const SlotView* slot = s.view.slot_of(t);
    std::array<std::uint64_t, abi::page_bytes / 8> words = {};
    if (slot == nullptr || !slot->page[index].present() ||
        !s.view.stop->memory.read(to_gpa(slot->page[index].frame()),
                                  std::as_writable_bytes(std::span(words)))) {
        return;
    }
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] != 0) {
            s.judge.report(
                Inv::inv25, {t}, fmt::format("P{} of {}", index, s.name(t)),
                fmt::format(
                    "P{} of {}'s stack is mapped to frame {} with old contents: {:#x} at offset {:#x}.",
                    index, s.name(t), slot->page[index].frame(), words[i], i * 8));
            return;
        }
    }
}

}  // namespace stackrig::oracle::leak
