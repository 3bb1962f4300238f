// The data of the HTML report. How it looks: html/.
#include "vmm/report/html.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "vmm/oracle/catalogue.hpp"
#include "vmm/oracle/claims.hpp"
#include "vmm/report/clean.hpp"
#include "vmm/report/failure.hpp"
#include "vmm/report/html_page.hpp"
#include "vmm/report/json.hpp"
#include "vmm/report/claims.hpp"
#include "vmm/report/depths.hpp"
#include "vmm/report/sweep.hpp"
#include "vmm/report/text.hpp"

namespace stackrig::report {
namespace {

using explore::ScenarioResult;
using explore::Verdict;

constexpr std::size_t most_detail_bytes = 16u << 20;

/// JSON that may stand inside a script element: ASCII, and no `<` that could end it.
std::string script_json(const Json& json) {
    std::string out;
    for (const char c : json.dump(-1, ' ', true, Json::error_handler_t::replace)) {
        out += c == '<' ? std::string("\\u003c") : std::string(1, c);
    }
    return out;
}

bool wants_detail(const ScenarioResult& r) {
    return r.sweep || !r.timeline.moments.empty() || !r.violations.empty() || (!explore::as_expected(r.verdict) && r.verdict != Verdict::skip);
}

Json detail(const ScenarioResult& r) {
    Json out = to_json(r);
    out.erase("examined");
    out.erase("depths");
    for (std::size_t i = 0; i < r.violations.size(); ++i) {
        const explore::ViolationReport& v = r.violations[i];
        Json& j = out["violations"][i];
        j.erase("moment");
        j.erase("before");
        j.erase("picture");  // it is in the text
        const auto inv = oracle::find_invariant(v.id);
        j["title"] = inv ? oracle::invariant(*inv).title : "";
        j["sentence"] = inv ? oracle::invariant(*inv).sentence : "";
        j["rip"] = v.moment.cpu < v.moment.cpus.size() ? fmt::format("{:x}", v.moment.cpus[v.moment.cpu].regs.rip.value()) : "";
    }
    out["hits"] = Json::array();
    for (const explore::LandingReport* landing : landings_by_step(r)) {
        out["hits"].push_back(landing == nullptr ? "" : landing->where);
    }
    if (r.sweep) {
        out["sweep"]["statement"] = coverage_statement(*r.sweep);
        for (const explore::Fate fate : explore::all_fates()) {
            out["sweep"]["fates"][std::string(1, static_cast<char>(fate))] = explore::words_for(fate);
        }
    }
    out["text"] = result_details(r);
    out["replay"] = replay_command(r);
    out["shown"] = Json::array();
    for (const ScenarioResult& shown : r.shown) {
        out["shown"].push_back(detail(shown));
    }
    return out;
}

/// Of every result, short keys: there may be ten thousand.
Json row(const ScenarioResult& r) {
    return {{"n", r.name},  {"f", r.file}, {"c", fmt::format("{}", fmt::join(r.claims, " "))}, {"v", explore::name_of(r.verdict)},
            {"s", r.stops}, {"r", r.verdict == Verdict::pass ? "" : r.verdict == Verdict::expected_violation ? verdict_text(r) : r.reason}};
}

/// Objects with the text of each, so that the size of a report is known before it is built.
class Details {
  public:
    void add(const ScenarioResult& r) {
        const std::string text = script_json(detail(r));
        if (bytes_ + text.size() > most_detail_bytes) {
            ++left_out_;
            return;
        }
        bytes_ += text.size();
        text_ += (text_.empty() ? "" : ",\n") + text;
        shown_.push_back(&r);
    }
    [[nodiscard]] bool has(const ScenarioResult& r) const { return std::find(shown_.begin(), shown_.end(), &r) != shown_.end(); }
    [[nodiscard]] const std::string& text() const { return text_; }
    [[nodiscard]] std::size_t left_out() const { return left_out_; }

  private:
    std::string text_;
    std::size_t bytes_ = 0;
    std::size_t left_out_ = 0;
    std::vector<const ScenarioResult*> shown_;
};

Json claims_json(const std::vector<ScenarioResult>& results, const Details& details) {
    Json out = Json::array();
    for (const oracle::Claim& claim : oracle::claims()) {
        Json readings = Json::array();
        for (const ReadingRow& row : reading_rows()) {
            const ClaimState state = claim_state(claim, row.reading, results);
            Json refuted = Json::array();
            for (const ScenarioResult* r : state.refuted) {
                refuted.push_back({{"name", r->name}, {"id", r->violations.back().id}, {"stops", r->stops}, {"shown", details.has(*r)}});
            }
            readings.push_back({{"name", row.name}, {"held", state.held}, {"open", state.open}, {"refuted", refuted}});
        }
        out.push_back({{"id", claim.id}, {"statement", claim.statement}, {"sentence", claim.sentence}, {"readings", readings}});
    }
    return out;
}

}  // namespace

std::string html(const RunInfo& info, const std::vector<ScenarioResult>& results) {
    Details details;
    Json rows = Json::array();
    for (const ScenarioResult& r : results) {
        rows.push_back(row(r));
    }
    // What nobody expected comes first.
    for (const bool expected : {false, true}) {
        for (const ScenarioResult& r : results) {
            if (wants_detail(r) && explore::as_expected(r.verdict) == expected) {
                details.add(r);
            }
        }
    }
    const std::string said = summary(results);
    const std::string counts = said.substr(0, said.find('\n'));
    Json head;
    head["headline"] = counts;
    head["limits"] = one_line(said.substr(counts.size()));
    head["facts"] = {{"host", info.host.starts_with("host: ") ? info.host.substr(6) : info.host},
                     {"machine", info.machine},
                     {"started", info.started},
                     {"guest build", info.guest_build}};
    head["claims"] = claims_json(results, details);
    head["depths"] = depth_table(results);
    head["results"] = std::move(rows);
    head["not_shown"] = details.left_out();
    std::string data = script_json(head);
    data.pop_back();
    const HtmlPage& page = html_page();
    return fmt::format("{}{}{}{},\"details\":[{}]}}{}", page.before_text, xml(said + "\n" + claims_table(results) + "\n" + depth_table(results)), page.before_data, data,
                       details.text(), page.end);
}

}  // namespace stackrig::report
