// JSON Lines. 64-bit numbers that are no counts are hex strings.
#include "vmm/report/jsonl.hpp"

#include <fmt/format.h>
#include <map>

#include "vmm/report/text.hpp"

namespace stackrig::report {
namespace {

Json head(const char* type) { return {{"v", jsonl_version}, {"t", type}}; }

Json run_line(const explore::ScenarioResult& r) {
    Json line = head("run");
    Json result = to_json(r);
    // They have lines of their own.
    result.erase("violations");
    // Pictures are for the reports that draw.
    result.erase("timeline");
    line.update(result);
    line["replay"] = replay_command(r);
    return line;
}

Json violation_line(const RunInfo& info, const explore::ScenarioResult& r, const explore::ViolationReport& v) {
    Json line = head("violation");
    line["id"] = v.id;
    line["scenario"] = r.name;
    line["file"] = r.file;
    line["line"] = v.line;
    line["invariant"] = v.text;
    line["claim"] = r.claims;
    line["expected"] = v.id == r.expected_id;
    line["where"] = v.where;
    line["stop"] = v.stop;
    line["step"] = v.step;
    line["trace_hash"] = fmt::format("{:016x}", r.trace_hash);
    line["guest_build"] = info.guest_build;
    line["schema"] = jsonl_version;
    line["replay"] = replay_command(r);
    line["picture"] = v.picture;
    return line;
}

}  // namespace

std::string json_line(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n"; }

std::string jsonl_host(const RunInfo& info) {
    Json line = head("host");
    line["text"] = info.host;
    line["machine"] = info.machine;
    line["started"] = info.started;
    line["guest_build"] = info.guest_build;
    return json_line(line);
}

std::string jsonl_result(const RunInfo& info, const explore::ScenarioResult& r) {
    std::string out = json_line(run_line(r));
    for (const explore::ViolationReport& v : r.violations) {
        out += json_line(violation_line(info, r, v));
    }
    return out;
}

std::string jsonl_summary(const std::vector<explore::ScenarioResult>& results) {
    std::map<explore::Verdict, std::size_t> counts;
    for (const explore::ScenarioResult& r : results) {
        ++counts[r.verdict];
    }
    Json verdicts = Json::object();
    for (const auto& [verdict, count] : counts) {
        verdicts[explore::name_of(verdict)] = count;
    }
    Json line = head("summary");
    line["scenarios"] = results.size();
    line["verdicts"] = verdicts;
    line["exit"] = exit_code(results);
    return json_line(line);
}

}  // namespace stackrig::report
