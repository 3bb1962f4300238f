// The mail's claims C1..C8, and what results say about each: as the mail has the scheme, repaired, and read otherwise.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/explore/result.hpp"
#include "vmm/oracle/claims.hpp"

namespace stackrig::report {

/// What the results of one reading say about one claim.
struct ClaimState {
    std::size_t held = 0;
    std::size_t open = 0;                                 ///< neither held nor refuted: skipped, vacuous, error
    std::vector<const explore::ScenarioResult*> refuted;  ///< fewest stops first
    [[nodiscard]] std::size_t count() const { return held + open + refuted.size(); }
};
[[nodiscard]] ClaimState claim_state(const oracle::Claim& claim, scenario::Reading reading, const std::vector<explore::ScenarioResult>& results);

/// In words: "REFUTED by FILE (INV-9) and 3 more; held in 8".
[[nodiscard]] std::string claim_verdict(const ClaimState& state);

/// The readings in the order in which tables show them, with their names for people. The baseline has no scheme to claim anything of.
struct ReadingRow {
    scenario::Reading reading;
    std::string_view name;
};
[[nodiscard]] const std::vector<ReadingRow>& reading_rows();

/// Each claim with its verdict under each reading; 72 columns.
[[nodiscard]] std::string claims_table(const std::vector<explore::ScenarioResult>& results);

}  // namespace stackrig::report
