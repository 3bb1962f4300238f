// Words for what the checks saw.
#include "vmm/oracle/scene.hpp"

#include <fmt/format.h>

namespace stackrig::oracle {

std::string pages_text(std::uint8_t mapped) {
    std::string out = "{";
    for (unsigned i = 0; i < abi::stack_pages; ++i) {
        if ((mapped >> i & 1) != 0) {
            out += fmt::format("{}P{}", out.size() > 1 ? "," : "", i);
        }
    }
    return out + "}";
}

std::string place_text(const View& view, Place place) {
    switch (place.kind) {
        case PlaceKind::none:
            return "nowhere";
        case PlaceKind::stack_page: {
            const auto& slots = view.slots;
            if (place.owner < slots.size() && slots[place.owner].owner) {
                return fmt::format("P{} of {}'s stack", place.page, name_of(view, *slots[place.owner].owner));
            }
            return fmt::format("P{} of stack slot {}, which nobody owns", place.page, place.owner);
        }
        case PlaceKind::cache:
            return fmt::format("the cache of cpu{}", place.owner);
        case PlaceKind::reserve:
            return fmt::format("the reserve of cpu{}", place.owner);
        case PlaceKind::free_list:
            return "the free list";
        case PlaceKind::hogged:
            return fmt::format("the frames {} hogs", name_of(view, ThreadId(place.owner)));
        case PlaceKind::grant:
            return fmt::format("what was handed to {}", name_of(view, ThreadId(place.owner)));
        case PlaceKind::pool:
            return "the pool of all CPUs";
        case PlaceKind::hands:
            return fmt::format("the hands of cpu{}", place.owner);
    }
    return "?";
}

std::string_view entry_text(abi::Entry entry) {
    return entry == abi::Entry::none || entry >= abi::Entry::count
               ? std::string_view("no entry")
               : std::string_view(abi::entry_class(entry).name);
}

std::string names_text(const View& view, const std::vector<ThreadId>& threads) {
    std::string out;
    for (std::size_t i = 0; i < threads.size(); ++i) {
        out += i == 0 ? "" : i + 1 == threads.size() ? " and " : ", ";
        out += name_of(view, threads[i]);
    }
    return out.empty() ? "nobody" : out;
}

}  // namespace stackrig::oracle
