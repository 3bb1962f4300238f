// ScenarioResult <-> JSON, field by field.
#include "vmm/report/json.hpp"

#include <fmt/format.h>

#include "vmm/report/moment_json.hpp"
#include "vmm/report/sweep.hpp"

namespace stackrig::explore {

// Found by argument-dependent lookup, hence in this namespace. The library's own macro of this purpose is for its unordered
// JSON only in the version of Debian 12.
#define STACKRIG_JSON_FIELDS(Type, ...)                                                     \
    template <class J>                                                                      \
    void to_json(J& nlohmann_json_j, const Type& nlohmann_json_t) {                         \
        NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(NLOHMANN_JSON_TO, __VA_ARGS__))            \
    }                                                                                       \
    template <class J>                                                                      \
    void from_json(const J& nlohmann_json_j, Type& nlohmann_json_t) {                       \
        NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(NLOHMANN_JSON_FROM, __VA_ARGS__))          \
    }
/// 64-bit numbers that are no counts travel as hex strings: JSON readers lose bits.
struct Hex {
    std::uint64_t value = 0;
};
template <class J>
void to_json(J& json, const Hex& hex) {
    json = fmt::format("{:x}", hex.value);
}
template <class J>
void from_json(const J& json, Hex& hex) {
    hex.value = std::stoull(json.template get<std::string>(), nullptr, 16);
}

template <class J>
void to_json(J& json, const CodeLine& l) {
    json = {{"address", Hex{l.address}}, {"label", l.label}, {"text", l.text}, {"file", l.file}, {"line", l.line}, {"source", l.source}};
}
template <class J>
void from_json(const J& json, CodeLine& l) {
    l = {json.at("address").template get<Hex>().value, json.at("label"), json.at("text"), json.at("file"), json.at("line"), json.at("source")};
}
template <class J>
void to_json(J& json, const LandingReport& l) {
    json = {{"event", l.event}, {"where", l.where}, {"exact", l.exact}, {"detail", l.detail}, {"address", Hex{l.address}}, {"code", l.code}};
}
template <class J>
void from_json(const J& json, LandingReport& l) {
    l = {json.at("event"), json.at("where"), json.at("exact"), json.at("detail"), json.at("address").template get<Hex>().value, json.at("code")};
}
STACKRIG_JSON_FIELDS(Examined, id, evaluated, applicable)
STACKRIG_JSON_FIELDS(DepthReport, entry, window, max_bytes, samples)

}  // namespace stackrig::explore

namespace stackrig::report {
namespace {

Json violation_json(const explore::ViolationReport& v) {
    Json json{{"id", v.id}, {"object", v.object}, {"text", v.text}, {"where", v.where}, {"step", v.step}, {"stop", v.stop}, {"picture", v.picture}, {"line", v.line}};
    json["moment"] = to_json(explore::Timeline{0, {v.moment}});
    json["before"] = to_json(v.before);
    json["before_stop"] = v.before_stop;
    json["code"] = v.code;
    json["access"] = v.access;
    return json;
}

explore::ViolationReport violation_from(const Json& json) {
    explore::ViolationReport v;
    json.at("id").get_to(v.id);
    json.at("object").get_to(v.object);
    json.at("text").get_to(v.text);
    json.at("where").get_to(v.where);
    json.at("step").get_to(v.step);
    json.at("stop").get_to(v.stop);
    json.at("picture").get_to(v.picture);
    json.at("line").get_to(v.line);
    v.moment = timeline_from_json(json.at("moment")).moments.at(0);
    v.before = regs_from_json(json.at("before"));
    json.at("before_stop").get_to(v.before_stop);
    json.at("code").get_to(v.code);
    json.at("access").get_to(v.access);
    return v;
}

constexpr explore::Verdict all_verdicts[] = {
    explore::Verdict::pass,    explore::Verdict::expected_violation, explore::Verdict::fail,
    explore::Verdict::xpass,   explore::Verdict::skip,               explore::Verdict::vacuous,
    explore::Verdict::incomplete, explore::Verdict::timeout,         explore::Verdict::error};

explore::Verdict verdict_named(const std::string& name) {
    for (const explore::Verdict v : all_verdicts) {
        if (name == explore::name_of(v)) {
            return v;
        }
    }
    throw std::out_of_range("verdict \"" + name + "\"");
}

}  // namespace

Json summary_json(const explore::ScenarioResult& r) {
    Json json;
    json["file"] = r.file;
    json["name"] = r.name;
    json["why"] = r.why;
    json["claims"] = r.claims;
    json["hazards"] = r.hazards;
    json["reading"] = scenario::name_of(r.reading);
    json["verdict"] = explore::name_of(r.verdict);
    json["reason"] = r.reason;
    json["unrunnable"] = r.unrunnable;
    json["expected"] = r.expected_id;
    json["ending"] = r.ending;
    json["landings"] = r.landings;
    json["examined"] = r.examined;
    json["depths"] = r.depths;
    json["notes"] = r.notes;
    json["console"] = r.console;
    json["stops"] = r.stops;
    json["trace_hash"] = fmt::format("{:016x}", r.trace_hash);
    json["seconds"] = r.seconds;
    json["line"] = r.line;
    json["steps"] = r.steps;
    json["last_step"] = r.last_step;
    return json;
}

Json to_json(const explore::ScenarioResult& r) {
    Json json = summary_json(r);
    json["violations"] = Json::array();
    for (const explore::ViolationReport& v : r.violations) {
        json["violations"].push_back(violation_json(v));
    }
    if (!r.timeline.moments.empty()) {
        json["timeline"] = to_json(r.timeline);
    }
    if (r.sweep) {
        json["sweep"] = to_json(*r.sweep);
    }
    for (const explore::ScenarioResult& shown : r.shown) {
        json["shown"].push_back(to_json(shown));
    }
    return json;
}

Result<explore::ScenarioResult> result_from_json(const Json& json) try {
    explore::ScenarioResult r;
    json.at("file").get_to(r.file);
    json.at("name").get_to(r.name);
    json.at("why").get_to(r.why);
    json.at("claims").get_to(r.claims);
    json.at("hazards").get_to(r.hazards);
    r.reading = scenario::reading_named(json.at("reading").get<std::string>()).value();
    r.verdict = verdict_named(json.at("verdict").get<std::string>());
    json.at("reason").get_to(r.reason);
    r.unrunnable = json.value("unrunnable", false);
    json.at("expected").get_to(r.expected_id);
    for (const Json& v : json.at("violations")) {
        r.violations.push_back(violation_from(v));
    }
    json.at("ending").get_to(r.ending);
    json.at("landings").get_to(r.landings);
    json.at("examined").get_to(r.examined);
    json.at("depths").get_to(r.depths);
    json.at("notes").get_to(r.notes);
    json.at("console").get_to(r.console);
    json.at("stops").get_to(r.stops);
    r.trace_hash = std::stoull(json.at("trace_hash").get<std::string>(), nullptr, 16);
    json.at("seconds").get_to(r.seconds);
    json.at("line").get_to(r.line);
    json.at("steps").get_to(r.steps);
    json.at("last_step").get_to(r.last_step);
    if (const auto timeline = json.find("timeline"); timeline != json.end()) {
        r.timeline = timeline_from_json(*timeline);
    }
    if (const auto sweep = json.find("sweep"); sweep != json.end()) {
        r.sweep = sweep_from_json(*sweep).value();
    }
    for (const Json& shown : json.value("shown", Json::array())) {
        r.shown.push_back(result_from_json(shown).value());
    }
    return r;
} catch (const std::exception& e) {
    return fail(ErrorKind::rig, fmt::format("a result from the worker cannot be read ({}): is the worker of another build? `ninja -C build` builds both", e.what()));
}

}  // namespace stackrig::report
