// Comparing policies with the mail's.
#include "vmm/scenario/reading.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "vmm/scenario/policies.hpp"

namespace stackrig::scenario {
namespace {

constexpr std::array<std::pair<Reading, const char*>, 4> names{{
    {Reading::mail, "mail"}, {Reading::other, "other"}, {Reading::repaired, "repaired"}, {Reading::baseline, "baseline"}}};

}  // namespace

const char* name_of(Reading reading) { return names[static_cast<std::size_t>(reading)].second; }

std::optional<Reading> reading_named(std::string_view name) {
    const auto* at = std::find_if(names.begin(), names.end(), [&](const auto& n) { return name == n.second; });
    return at == names.end() ? std::nullopt : std::optional(at->first);
}

Reading reading_of(const engine::GuestPlan& guest) {
    if (guest.scheme == abi::Scheme::fixed) {
        return Reading::baseline;
    }
    const auto chooses_as = [&](const abi::Policies& whole) {
        return std::all_of(policy_keys().begin(), policy_keys().end(), [&](const PolicyKey& key) {
            return key.of == PolicyOf::kernel || word_of(key, guest.policies) == word_of(key, whole);
        });
    };
    if (chooses_as(proposed())) {
        return Reading::repaired;
    }
    const bool plain = guest.policies.cache_cap == literal().cache_cap && guest.reserve_pages <= abi::extra_pages;
    return chooses_as(literal()) && plain ? Reading::mail : Reading::other;
}

}  // namespace stackrig::scenario
