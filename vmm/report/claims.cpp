// Counting verdicts per claim and reading.
#include "vmm/report/claims.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "vmm/oracle/catalogue.hpp"
#include "vmm/oracle/claims.hpp"
#include "vmm/report/text.hpp"

namespace stackrig::report {
namespace {

using explore::ScenarioResult;
using explore::Verdict;
using scenario::Reading;

constexpr std::size_t columns = 72;
constexpr std::size_t name_columns = 12;

std::string bracketed(const std::string& variant) { return variant.empty() ? "" : "[" + variant + "]"; }

/// An expected violation refutes what its scenario's author says it is about; one that nobody expected, only a claim whose sentence
/// the invariant puts formally.
bool refutes(const ScenarioResult& r, const oracle::Claim& claim) {
    if (r.violations.empty() || (r.verdict != Verdict::expected_violation && r.verdict != Verdict::fail)) {
        return false;
    }
    const auto puts = [&claim](const explore::ViolationReport& v) {
        const auto violated = oracle::find_invariant(v.id);
        return violated && oracle::invariant(*violated).sentence.find(claim.sentence) != std::string_view::npos;
    };
    // A run's last violation is the one that ended it; those of a sweep are all findings.
    return r.verdict == Verdict::expected_violation || (r.sweep ? std::any_of(r.violations.begin(), r.violations.end(), puts) : puts(r.violations.back()));
}

std::string reading_line(const ReadingRow& row, const ClaimState& state) {
    const std::string text = wrap(state.count() == 0 ? "not tested here" : claim_verdict(state), columns, 6 + name_columns);
    return fmt::format("      {:<{}}{}", row.name, name_columns, text.substr(6 + name_columns));
}

}  // namespace

ClaimState claim_state(const oracle::Claim& claim, Reading reading, const std::vector<ScenarioResult>& results) {
    ClaimState state;
    for (const ScenarioResult& r : results) {
        if (r.reading != reading || std::find(r.claims.begin(), r.claims.end(), claim.id) == r.claims.end()) {
            continue;
        }
        if (r.verdict == Verdict::pass) {
            ++state.held;
        } else if (refutes(r, claim)) {
            state.refuted.push_back(&r);
        } else {
            ++state.open;
        }
    }
    std::stable_sort(state.refuted.begin(), state.refuted.end(),
                     [](const ScenarioResult* a, const ScenarioResult* b) { return a->stops < b->stops; });
    return state;
}

std::string claim_verdict(const ClaimState& state) {
    std::string verdict = fmt::format("held in {}", state.held);
    if (!state.refuted.empty()) {
        const ScenarioResult& shortest = *state.refuted.front();
        verdict = fmt::format("REFUTED by {}{} ({}){}; held in {}", shortest.file, bracketed(variant_of(shortest)), shortest.violations.back().id,
                              state.refuted.size() > 1 ? fmt::format(" and {} more", state.refuted.size() - 1) : "",
                              state.held);
    }
    return state.open > 0 ? fmt::format("{}; undecided in {}", verdict, state.open) : verdict;
}

const std::vector<ReadingRow>& reading_rows() {
    static const std::vector<ReadingRow> rows = {{Reading::mail, "as written"}, {Reading::repaired, "repaired"}, {Reading::other, "otherwise"}};
    return rows;
}

std::string claims_table(const std::vector<ScenarioResult>& results) {
    std::string out = "The mail's claims: as written, repaired (repair = \"proposed\"), and\n"
                      "read otherwise (some other policy):\n";
    std::vector<std::string_view> untested;
    for (const oracle::Claim& claim : oracle::claims()) {
        std::string rows;
        std::size_t tested = 0;
        for (const ReadingRow& row : reading_rows()) {
            const ClaimState state = claim_state(claim, row.reading, results);
            tested += state.count();
            rows += row.reading == Reading::other && state.count() == 0 ? "" : reading_line(row, state);
        }
        if (tested == 0) {
            untested.push_back(claim.id);
        } else {
            out += fmt::format("  {}  {}\n{}", claim.id, claim.statement, rows);
        }
    }
    return untested.empty() ? out : out + fmt::format("  not tested here: {}\n", fmt::join(untested, " "));
}

}  // namespace stackrig::report
