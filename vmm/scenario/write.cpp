// Values -> TOML 1.0.
#include "vmm/scenario/write.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "vmm/scenario/format.hpp"

namespace stackrig::scenario {
namespace {

constexpr std::size_t widest_array = 100;  ///< bytes; a longer one has a line for each item

bool is_bare(const std::string& key) {
    return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

std::string escaped(std::string_view text, bool over_lines) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += std::string("\\") + c;
        } else if ((byte < 0x20 && !(over_lines && c == '\n')) || byte == 0x7f) {
            out += fmt::format("\\u{:04x}", byte);
        } else {
            out += c;
        }
    }
    return out;
}

std::string string(const std::string& text) {
    const bool over_lines = text.find('\n') != std::string::npos;
    return over_lines ? fmt::format("\"\"\"\n{}\"\"\"", escaped(text, true)) : fmt::format("\"{}\"", escaped(text, false));
}

std::string key(const std::string& name) { return is_bare(name) ? name : fmt::format("\"{}\"", escaped(name, false)); }

std::string inline_value(const Value& value);

std::string array(const Value& value) {
    std::vector<std::string> items;
    std::transform(value.items.begin(), value.items.end(), std::back_inserter(items), inline_value);
    const std::string line = fmt::format("[{}]", fmt::join(items, ", "));
    return line.size() <= widest_array ? line : fmt::format("[\n    {},\n]", fmt::join(items, ",\n    "));
}

std::string inline_value(const Value& value) {
    switch (value.kind) {
        case Value::Kind::string: return string(value.text.text);
        case Value::Kind::integer: return std::to_string(value.integer);
        case Value::Kind::boolean: return value.boolean ? "true" : "false";
        case Value::Kind::array: return array(value);
        default: break;
    }
    std::vector<std::string> members;
    for (const Member& member : value.members) {
        members.push_back(fmt::format("{} = {}", key(member.key), inline_value(member.value)));
    }
    return members.empty() ? "{}" : fmt::format("{{ {} }}", fmt::join(members, ", "));
}

/// An expectation is one value to its reader, though TOML calls it a table.
bool has_header(const Member& member) { return member.value.kind == Value::Kind::table && member.key != "expect"; }

void table(const Value& value, const std::string& path, std::string& out) {
    const bool only_tables = !value.members.empty() && std::all_of(value.members.begin(), value.members.end(), has_header);
    out += path.empty() || only_tables ? "" : fmt::format("\n[{}]\n", path);
    for (const Member& member : value.members) {
        out += has_header(member) ? "" : fmt::format("{} = {}\n", key(member.key), inline_value(member.value));
    }
    for (const Member& member : value.members) {
        if (has_header(member)) {
            table(member.value, path.empty() ? key(member.key) : path + "." + key(member.key), out);
        }
    }
}

}  // namespace

Value string_value(std::string text) {
    Value value;
    value.kind = Value::Kind::string;
    value.text.text = std::move(text);
    return value;
}

Value array_of(const std::vector<std::string>& strings) {
    Value value;
    value.kind = Value::Kind::array;
    std::transform(strings.begin(), strings.end(), std::back_inserter(value.items), string_value);
    return value;
}

Value table_of(std::vector<std::pair<std::string, Value>> members) {
    Value value;
    for (auto& [name, member] : members) {
        set(value, name, std::move(member));
    }
    return value;
}

void set(Value& table, const std::string& key, Value value) {
    const auto at = std::find_if(table.members.begin(), table.members.end(), [&](const Member& m) { return m.key == key; });
    if (at == table.members.end()) {
        table.members.push_back({key, {}, std::move(value)});
    } else {
        at->value = std::move(value);
    }
}

void erase(Value& table, std::string_view key) {
    std::erase_if(table.members, [key](const Member& m) { return m.key == key; });
}

std::string write(const Value& document) {
    std::string text;
    table(document, "", text);
    return format(text, "").value_or(text);
}

}  // namespace stackrig::scenario
