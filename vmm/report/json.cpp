// ScenarioResult <-> JSON, field by field.
#include "vmm/report/json.hpp"

#include <fmt/format.h>

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
STACKRIG_JSON_FIELDS(ViolationReport, id, text, where, step, stop, picture, line)
STACKRIG_JSON_FIELDS(LandingReport, event, where, exact, detail)
STACKRIG_JSON_FIELDS(Examined, id, evaluated, applicable)
STACKRIG_JSON_FIELDS(DepthReport, entry, window, max_bytes, samples)

}  // namespace stackrig::explore

namespace stackrig::report {
namespace {

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

Json to_json(const explore::ScenarioResult& r) {
    Json json;
    json["file"] = r.file;
    json["name"] = r.name;
    json["why"] = r.why;
    json["claims"] = r.claims;
    json["hazards"] = r.hazards;
    json["verdict"] = explore::name_of(r.verdict);
    json["reason"] = r.reason;
    json["expected"] = r.expected_id;
    json["violations"] = r.violations;
    json["landings"] = r.landings;
    json["examined"] = r.examined;
    json["depths"] = r.depths;
    json["notes"] = r.notes;
    json["console"] = r.console;
    json["stops"] = r.stops;
    json["trace_hash"] = fmt::format("{:016x}", r.trace_hash);
    json["seconds"] = r.seconds;
    json["line"] = r.line;
    return json;
}

Result<explore::ScenarioResult> result_from_json(const Json& json) try {
    explore::ScenarioResult r;
    json.at("file").get_to(r.file);
    json.at("name").get_to(r.name);
    json.at("why").get_to(r.why);
    json.at("claims").get_to(r.claims);
    json.at("hazards").get_to(r.hazards);
    r.verdict = verdict_named(json.at("verdict").get<std::string>());
    json.at("reason").get_to(r.reason);
    json.at("expected").get_to(r.expected_id);
    json.at("violations").get_to(r.violations);
    json.at("landings").get_to(r.landings);
    json.at("examined").get_to(r.examined);
    json.at("depths").get_to(r.depths);
    json.at("notes").get_to(r.notes);
    json.at("console").get_to(r.console);
    json.at("stops").get_to(r.stops);
    r.trace_hash = std::stoull(json.at("trace_hash").get<std::string>(), nullptr, 16);
    json.at("seconds").get_to(r.seconds);
    json.at("line").get_to(r.line);
    return r;
} catch (const std::exception& e) {
    return fail(ErrorKind::rig, fmt::format("a result from the worker cannot be read: {}", e.what()));
}

}  // namespace stackrig::report
