// The report files of a run, any number of them together.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/explore/result.hpp"
#include "vmm/report/run_info.hpp"

namespace stackrig::cli {

/// Stops of one run in the reports that draw: its last ones.
inline constexpr std::size_t most_moments = 600;

/// File names; empty: not asked for.
struct OutputFiles {
    std::string jsonl;
    std::string junit;
    std::string html;
    std::string perfetto;

    /// Whether a report wants the stops of runs, not only their results.
    [[nodiscard]] bool want_timeline() const { return !html.empty() || !perfetto.empty(); }
};

class Outputs {
  public:
    /// Tries each file, so that a run does not end in a report that cannot be written. Errors (usage): a file that cannot
    /// be written, or that is named twice.
    static Result<Outputs> open(const OutputFiles& files);

    void begin(report::RunInfo info);
    /// JSON Lines get each result as it happens: a run that is killed loses nothing it had finished.
    void result(const explore::ScenarioResult& result);
    /// Writes the other files, and for GitHub Actions its annotations (standard error) and summary page. Error (host): one
    /// could not be written to its end.
    [[nodiscard]] Result<void> end(const std::vector<explore::ScenarioResult>& results);

  private:
    OutputFiles files_;
    report::RunInfo info_;
    std::ofstream jsonl_;
};

/// Where, when and of which guest.
[[nodiscard]] report::RunInfo run_info(std::string headline, std::uint64_t guest_build);

}  // namespace stackrig::cli
