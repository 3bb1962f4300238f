// What a variant changes.
#include "vmm/scenario/variant.hpp"

#include <algorithm>

namespace stackrig::scenario {
namespace {

/// `over` laid over `base`: tables are merged, everything else is replaced.
Value merged(const Value& base, const Value& over) {
    Value out = base;
    for (const Member& member : over.members) {
        const auto at = std::find_if(out.members.begin(), out.members.end(), [&](const Member& m) { return m.key == member.key; });
        if (at == out.members.end()) {
            out.members.push_back(member);
        } else if (at->value.kind == Value::Kind::table && member.value.kind == Value::Kind::table && member.key != "expect") {
            at->value = merged(at->value, member.value);
        } else {
            *at = member;
        }
    }
    return out;
}

bool has_schedule(const Value& table) { return table.member("schedule") != nullptr; }

/// The file's own schedule stands in [run]; that of a variant may stand beside its name, and replaces it.
void drop_schedule_of_run(Value& document) {
    const auto run = std::find_if(document.members.begin(), document.members.end(), [](const Member& m) { return m.key == "run"; });
    if (run != document.members.end()) {
        std::erase_if(run->value.members, [](const Member& m) { return m.key == "schedule"; });
    }
}

}  // namespace

Value with_variant(const Value& document, const Value& variant) {
    Value own = merged(document, variant);
    if (has_schedule(variant)) {
        drop_schedule_of_run(own);
    }
    std::erase_if(own.members, [](const Member& m) { return m.key == "variants"; });
    return own;
}

}  // namespace stackrig::scenario
