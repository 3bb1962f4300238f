// Scenarios made of findings.
#include "vmm/cli/counterexample.hpp"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>

#include "vmm/scenario/variant.hpp"
#include "vmm/scenario/write.hpp"

namespace stackrig::cli {
namespace {

using scenario::Value;

/// The document of a run that has been checked.
Value document_of(const std::string& text, const std::string& variant) {
    const scenario::SourceText source("", text);
    scenario::Reporter reporter(source);
    Value document = scenario::parse_document(source, reporter).value();
    return variant.empty() ? document : scenario::with_variant(document, document.member("variants")->value.member(variant)->value);
}

}  // namespace

std::string counterexample_name(const explore::Finding& finding) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const std::string& decision : finding.decisions) {
        for (const char c : decision) {
            hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
        }
    }
    std::string what = finding.id.empty() ? finding.verdict : finding.id;
    std::transform(what.begin(), what.end(), what.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return fmt::format("cx-{}-{:08x}", what, hash & 0xffffffff);
}

std::string counterexample_text(const std::string& text, const std::string& variant, const explore::Finding& finding, std::uint64_t guest,
                                std::uint64_t trace) {
    Value document = document_of(text, variant);
    const scenario::Member* const named = document.member("name");
    const std::string origin = (named == nullptr ? "a scenario" : named->value.text.text) + (variant.empty() ? "" : fmt::format(" ({})", variant));
    scenario::set(document, "name", scenario::string_value(counterexample_name(finding)));
    scenario::set(document, "why", scenario::string_value(fmt::format("Found in {}: {}", origin, finding.text)));
    for (const char* gone : {"expect", "explore", "replay", "variants"}) {
        scenario::erase(document, gone);
    }
    if (!finding.id.empty()) {
        std::vector<std::pair<std::string, Value>> expect{{"violation", scenario::string_value(finding.id)}};
        if (!finding.also.empty()) {
            expect.emplace_back("also", scenario::array_of(finding.also));
        }
        scenario::set(document, "expect", scenario::table_of(std::move(expect)));
    }
    const scenario::Member* const run = document.member("run");
    Value changed = run == nullptr ? Value() : run->value;
    scenario::set(changed, "decisions", scenario::array_of(finding.decisions));
    scenario::set(document, "run", std::move(changed));
    scenario::set(document, "replay", scenario::table_of({{"guest", scenario::string_value(fmt::format("{:016x}", guest))},
                                                          {"trace", scenario::string_value(fmt::format("{:016x}", trace))}}));
    return scenario::write(document);
}

}  // namespace stackrig::cli
