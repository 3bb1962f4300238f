// Reports for people: one line per scenario, a block per failure; the counts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/explore/result.hpp"
#include "vmm/report/paint.hpp"

namespace stackrig::report {

/// "ok    null-syscall            pass                C3 C4   1 IRQ ..." - one line, no newline.
[[nodiscard]] std::string result_line(const explore::ScenarioResult& result, const Paint& paint = Paint());

/// "proposed" of the result "hz-c1[proposed]"; empty for a file's own run.
[[nodiscard]] std::string variant_of(const explore::ScenarioResult& result);

/// "pass", "INV-19 violated, as expected".
[[nodiscard]] std::string verdict_text(const explore::ScenarioResult& result);

/// "24 scenarios: 20 pass, 4 expected violations" and what a pass means here.
[[nodiscard]] std::string summary(const std::vector<explore::ScenarioResult>& results);

/// Process exit code: 0 all as expected, 1 violation or unexpected pass, 2 scenario error, 3 rig error, 77 all skipped.
[[nodiscard]] int exit_code(const std::vector<explore::ScenarioResult>& results);

/// Breaks `text` at spaces to `width` columns, each line indented.
[[nodiscard]] std::string wrap(const std::string& text, std::size_t width, std::size_t indent);

}  // namespace stackrig::report
