// JSON Lines. 64-bit numbers that are no counts are hex strings.
#include "vmm/report/jsonl.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

#include "vmm/report/failure.hpp"
#include "vmm/report/sweep.hpp"
#include "vmm/report/text.hpp"

namespace stackrig::report {
namespace {

Json head(const char* type) { return {{"v", jsonl_version}, {"t", type}}; }

Json run_line(const explore::ScenarioResult& r) {
    Json line = head("run");
    line.update(summary_json(r));  // violations have lines of their own, and stops are for the reports that draw
    line["replay"] = replay_command(r);
    return line;
}

std::string hex(std::uint64_t value) { return fmt::format("{:x}", value); }

/// Where the CPU was: registers, symbol, source line, and what is mapped of each thread's stack.
void add_place(Json& line, const explore::ViolationReport& v) {
    if (v.moment.cpu >= v.moment.cpus.size()) {
        return;
    }
    const oracle::MomentCpu& cpu = v.moment.cpus[v.moment.cpu];
    const std::size_t plus = cpu.symbol.rfind("+0x");
    line["vcpu"] = v.moment.cpu;
    line["thread"] = cpu.thread;
    line["rip"] = hex(cpu.regs.rip.value());
    line["sym"] = cpu.symbol.substr(0, plus);
    line["off"] = plus == std::string::npos ? "0" : cpu.symbol.substr(plus + 3);
    for (const explore::CodeLine& code : v.code) {
        if (code.address == cpu.regs.rip.value() && !code.file.empty()) {
            line["src_file"] = code.file;
            line["src_line"] = code.line;
        }
    }
    line["cr2"] = hex(cpu.regs.cr2.value());
    line["rsp"] = hex(cpu.regs.rsp.value());
    line["stack"] = cpu.stack;
    line["pt"] = Json::array();
    for (const oracle::MomentThread& t : v.moment.threads) {
        for (unsigned page = 0; page < abi::stack_pages; ++page) {
            const oracle::MomentPage& p = t.pages[page];
            line["pt"].push_back({{"thread", t.name},
                                  {"va", hex(abi::stack_page(t.slot, page))},
                                  {"pte", hex(p.pte)},
                                  {"pfn", hex(oracle::Pte{p.pte}.frame_number())},
                                  {"owner", p.owner}});
        }
    }
}

/// What was decided and where it hit, as far as the run went.
Json decisions(const explore::ScenarioResult& r, const explore::ViolationReport& v) {
    Json out = Json::array();
    if (r.sweep) {
        for (const std::string& decision : r.sweep->findings.at(static_cast<std::size_t>(&v - r.violations.data())).decisions) {
            out.push_back({{"what", decision}});
        }
        return out;
    }
    const std::vector<const explore::LandingReport*> landings = landings_by_step(r);
    for (std::size_t i = 0; i < landings.size(); ++i) {
        out.push_back({{"what", r.steps[i]}});
        if (landings[i] != nullptr) {
            out.back()["hit"] = landings[i]->where;
            out.back()["exact"] = landings[i]->exact;
        }
    }
    return out;
}

/// The last event of the schedule that had hit by then.
std::string event_before(const explore::ScenarioResult& r, const explore::ViolationReport& v) {
    const std::vector<const explore::LandingReport*> landings = landings_by_step(r);
    std::string event;
    for (std::size_t i = 0; i < landings.size() && i <= v.moment.step; ++i) {
        event = landings[i] == nullptr ? event : landings[i]->event;
    }
    const bool of_steps = std::any_of(landings.begin(), landings.end(), [](const auto* landing) { return landing != nullptr; });
    return of_steps || r.landings.empty() ? event : r.landings.back().event;  // those of decisions belong to no step
}

Json violation_line(const RunInfo& info, const explore::ScenarioResult& r, const explore::ViolationReport& v) {
    Json line = head("violation");
    line["id"] = v.id;
    line["scenario"] = r.name;
    line["file"] = r.file;
    line["line"] = v.line;
    line["invariant"] = v.text;
    line["object"] = v.object;
    line["claim"] = r.claims;
    line["expected"] = v.id == r.expected_id;
    line["where"] = v.where;
    line["stop"] = v.stop;
    line["step"] = v.step;
    line["event"] = event_before(r, v);
    add_place(line, v);
    line["decisions"] = decisions(r, v);
    line["trace_hash"] = fmt::format("{:016x}", r.trace_hash);
    line["guest_build"] = info.guest_build;
    line["schema"] = jsonl_version;
    line["replay"] = replay_command(r);
    line["picture"] = v.picture;
    return line;
}

/// Of a sweep: one event in one function.
Json coverage_line(const explore::ScenarioResult& r, const std::string& function, const std::string& event, const explore::Cell& cell) {
    Json line = head("coverage");
    line["scenario"] = r.name;
    line["window"] = function;
    line["kind"] = event;
    line["placements"] = cell.placements();
    line.update(to_json(cell));
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
    for (const auto& [function, cells] : r.sweep ? r.sweep->coverage : explore::Coverage()) {
        for (const auto& [event, cell] : cells) {
            out += json_line(coverage_line(r, function, event, cell));
        }
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
