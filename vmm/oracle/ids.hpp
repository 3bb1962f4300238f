// Names of things the oracle talks about: threads, stack slots, places a frame can be in.
#pragma once

#include <fmt/format.h>
#include <cstdint>

#include "vmm/base/types.hpp"

namespace stackrig::oracle {

using ThreadId =
    Strong<struct ThreadIdTag, std::uint32_t>;           ///< guest thread id: index in KernelState::threads
using SlotId = Strong<struct SlotIdTag, std::uint32_t>;  ///< stack slot in the stack area

/// Which kind of place a frame was seen in. All but `hands` are solid: a frame may be in one of them only.
enum class PlaceKind : std::uint8_t { none, stack_page, cache, reserve, free_list, hogged, grant, pool, hands };

/// One place a frame was seen in.
struct Place {
    PlaceKind kind = PlaceKind::none;
    std::uint8_t page = 0;    ///< stack_page: 0 (P0, top) .. 3
    std::uint16_t owner = 0;  ///< stack_page: slot; cache, reserve, hands: CPU; hogged, grant: thread

    friend bool operator==(const Place&, const Place&) = default;
};

}  // namespace stackrig::oracle
