// The policies of [guest]: their keys, the words for their values, and which of them exclude each other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "guest/abi/boot_params.hpp"
#include "guest/abi/policy.hpp"

namespace stackrig::scenario {

class Table;

/// Who chooses: the scheme's author, or whoever configures the kernel that the scheme has to live in.
enum class PolicyOf : std::uint8_t { scheme, kernel };

/// One key of [guest] that answers a question the mail leaves open.
struct PolicyKey {
    const char* key;
    const char* question;           ///< "OQ-11", in words
    std::vector<std::string> words; ///< in the order of the enum; the first is the literal reading
    std::size_t offset;             ///< in abi::Policies
    PolicyOf of = PolicyOf::scheme;
};
[[nodiscard]] const std::vector<PolicyKey>& policy_keys();

/// The best repaired scheme: what `repair = "proposed"` stands for.
[[nodiscard]] abi::Policies proposed();
/// The plainest reading of the mail.
[[nodiscard]] abi::Policies literal();

/// The value of a policy, as written in scenarios.
[[nodiscard]] const std::string& word_of(const PolicyKey& key, const abi::Policies& policies);

/// Reads all policies of [guest]; reports unknown words and impossible combinations.
[[nodiscard]] abi::Policies read_policies(const Table& guest, abi::Scheme scheme, std::uint32_t reserve_pages);

}  // namespace stackrig::scenario
