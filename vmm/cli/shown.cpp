// Findings run once more, with all their stops kept.
#include "vmm/cli/shown.hpp"

#include <algorithm>

#include "vmm/cli/counterexample.hpp"
#include "vmm/cli/outputs.hpp"
#include "vmm/report/json.hpp"

namespace stackrig::cli {
namespace {

constexpr std::size_t most_shown = 5;
constexpr std::chrono::seconds patience{60};

}  // namespace

std::vector<explore::ScenarioResult> shown_findings(Crew& crew, const CheckedSource& source, const std::vector<explore::Finding>& findings,
                                                    std::uint64_t guest, bool every_instruction) {
    std::vector<explore::ScenarioResult> shown;
    for (std::size_t i = 0; i < std::min(findings.size(), most_shown); ++i) {
        const explore::Finding& finding = findings[i];
        const std::string name = counterexample_name(finding);
        const std::string file = finding.file.empty() ? name + ".toml" : finding.file;
        auto result = crew.ask({{"do", "run"}, {"file", file}, {"text", counterexample_text(source.source.text, source.scenario.variant, finding, guest, finding.trace_hash)},
                                {"timeline", most_moments}, {"check", every_instruction ? "instruction" : ""}}, patience)
                          .and_then(report::result_from_json);
        if (result) {
            result->made_with = every_instruction ? "--every-instruction" : "";
            shown.push_back(std::move(*result));
        } else {
            shown.push_back({.file = file, .name = name, .reason = result.error().text});
        }
    }
    return shown;
}

}  // namespace stackrig::cli
