// Renders results that a test wrote, in every format: `report_render FOLDER` reads results as JSON, one a line, from
// standard input. The readers of the formats are in check-formats.py.
#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "vmm/report/failure.hpp"
#include "vmm/report/github.hpp"
#include "vmm/report/html.hpp"
#include "vmm/report/jsonl.hpp"
#include "vmm/report/junit.hpp"
#include "vmm/report/ktap.hpp"
#include "vmm/report/perfetto.hpp"
#include "vmm/report/claims.hpp"
#include "vmm/report/depths.hpp"
#include "vmm/report/text.hpp"

namespace {

using namespace stackrig;

void write(const std::string& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

}  // namespace

int main(int argc, char** argv) {
    const std::string folder = argc > 1 ? argv[1] : ".";
    std::vector<explore::ScenarioResult> results;
    for (std::string line; std::getline(std::cin, line);) {
        auto result = report::result_from_json(report::Json::parse(line));
        if (!result) {
            std::cerr << result.error().text << "\n";
            return 1;
        }
        results.push_back(std::move(*result));
    }
    const report::RunInfo info{.host = "host: a <test> & \"nothing\" else", .machine = "m\x01\xff", .started = "2026-01-02T03:04:05Z",
                               .guest_build = "0123456789abcdef"};
    std::string ktap = report::ktap_header(results.size());
    std::string jsonl = report::jsonl_host(info);
    std::string text;
    for (std::size_t i = 0; i < results.size(); ++i) {
        ktap += report::ktap_result(i + 1, results[i]);
        jsonl += report::jsonl_result(info, results[i]);
        text += report::result_line(results[i]) + "\n" + report::result_details(results[i]);
    }
    write(folder + "/ktap", ktap);
    write(folder + "/jsonl", jsonl + report::jsonl_summary(results));
    write(folder + "/junit", report::junit(info, results));
    write(folder + "/report.html", report::html(info, results));
    write(folder + "/trace.json", report::perfetto(info, results));
    write(folder + "/annotations", report::github_annotations(results));
    write(folder + "/summary.md", report::github_summary(info, results));
    write(folder + "/text", text + report::claims_table(results) + report::depth_table(results) + report::summary(results));
}
