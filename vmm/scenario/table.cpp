// Schema checks that do not depend on what a key means.
#include "vmm/scenario/table.hpp"

#include <fmt/format.h>
#include <algorithm>

#include "vmm/scenario/nearest.hpp"
#include "vmm/scenario/schema.hpp"
#include "vmm/scenario/sentence.hpp"

namespace stackrig::scenario {
namespace {

/// "[guest]", "[threads.NAME]", "expect".
std::string header_of(std::string_view table) {
    if (table == "expect") {
        return "expect";
    }
    std::string name(table);
    if (name.ends_with("*")) {
        name.replace(name.size() - 1, 1, "NAME");
    }
    return "[" + name + "]";
}

/// Where a key belongs that was written elsewhere.
std::string home_hint(std::string_view key) {
    // "schedule" may stand at the top and in [run]: the latter is named.
    const auto home = std::find_if(schema().rbegin(), schema().rend(),
                                   [&](const SchemaKey& row) { return row.key == key && row.table != "variants.*"; });
    if (home == schema().rend()) {
        return {};
    }
    if (home->table.empty() && home->type == SchemaKey::Type::table) {
        return {};
    }
    if (!home->table.empty()) {
        return fmt::format("\"{}\" belongs into {}", key, header_of(home->type == SchemaKey::Type::table ? home->table + "." + home->key : home->table));
    }
    return fmt::format(
        "\"{}\" belongs to the top level: in TOML a key behind a [header] is part of that table, so move "
        "it above the first header",
        key);
}

}  // namespace

std::string Table::path(std::string_view key) const {
    return name_.empty() ? fmt::format("\"{}\"", key) : fmt::format("\"{}\" of {}", key, name_);
}

void Table::only(const std::vector<std::string>& known, std::string_view silent) const {
    for (const Member& member : value_.members) {
        if (member.key == silent || std::find(known.begin(), known.end(), member.key) != known.end()) {
            continue;
        }
        std::string hint = home_hint(member.key);
        error(member.span,
              fmt::format("unknown key \"{}\"{}", member.key, name_.empty() ? "" : " in " + name_),
              hint.empty() ? suggestion(member.key, known) : std::move(hint));
    }
}

void Table::missing(std::string_view key, std::string hint) const {
    const Span at = name_.empty() ? Span{{1, 1}, 1} : value_.span;
    error(at, fmt::format("{} is missing", path(key)), std::move(hint));
}

const Value* Table::get(std::string_view key, Value::Kind kind, const char* example) const {
    const Member* member = value_.member(key);
    if (member == nullptr) {
        return nullptr;
    }
    if (member->value.kind != kind) {
        error(member->value.span,
              fmt::format("{} must be {}, not {}", path(key), name_of(kind), name_of(member->value.kind)),
              fmt::format("write {} = {}", key, example));
        return nullptr;
    }
    return &member->value;
}

std::optional<std::string> Table::string(std::string_view key) const {
    const Value* value = get(key, Value::Kind::string, "\"...\"");
    return value == nullptr ? std::nullopt : std::optional(value->text.text);
}

std::optional<std::int64_t> Table::integer(std::string_view key, std::int64_t least,
                                           std::int64_t most, std::string hint) const {
    const Value* value = get(key, Value::Kind::integer, fmt::format("{}", least).c_str());
    if (value == nullptr) {
        return std::nullopt;
    }
    if (value->integer < least || value->integer > most) {
        error(value->span,
              least == most
                  ? fmt::format("{} must be {}, not {}", path(key), least, value->integer)
                  : fmt::format("{} must be {} to {}, not {}", path(key), least, most, value->integer),
              std::move(hint));
        return std::nullopt;
    }
    return value->integer;
}

std::optional<bool> Table::boolean(std::string_view key) const {
    const Value* value = get(key, Value::Kind::boolean, "true");
    return value == nullptr ? std::nullopt : std::optional(value->boolean);
}

std::optional<std::uint64_t> Table::size(std::string_view key, std::uint64_t least,
                                         std::uint64_t most) const {
    const Member* member = value_.member(key);
    if (member == nullptr) {
        return std::nullopt;
    }
    const Value& value = member->value;
    std::optional<std::uint64_t> bytes;
    if (value.kind == Value::Kind::integer && value.integer >= 0) {
        bytes = static_cast<std::uint64_t>(value.integer);
    } else if (value.kind == Value::Kind::string) {
        bytes = read_size(value.text.text);
    }
    if (!bytes) {
        error(value.span, fmt::format("{} is no size", path(key)), "sizes are bytes: 512, \"6K\", \"1M\"");
        return std::nullopt;
    }
    if (*bytes < least || *bytes > most) {
        const auto text = [](std::uint64_t n) {
            return n % (1 << 20) == 0 && n != 0 ? fmt::format("{}M", n >> 20)
                   : n % 1024 == 0 && n != 0    ? fmt::format("{}K", n >> 10)
                                                : fmt::format("{}", n);
        };
        error(value.span,
              fmt::format("{} must be {} to {}, not {}", path(key), text(least), text(most), text(*bytes)));
        return std::nullopt;
    }
    return bytes;
}

std::optional<std::size_t> Table::choice(std::string_view key,
                                         const std::vector<std::string>& choices) const {
    const Value* value = get(key, Value::Kind::string, fmt::format("\"{}\"", choices.front()).c_str());
    if (value == nullptr) {
        return std::nullopt;
    }
    const auto found = std::find(choices.begin(), choices.end(), value->text.text);
    if (found == choices.end()) {
        error(value->span, fmt::format("{} cannot be \"{}\"", path(key), value->text.text),
              suggestion(value->text.text, choices));
        return std::nullopt;
    }
    return static_cast<std::size_t>(found - choices.begin());
}

std::vector<const Value*> Table::strings(std::string_view key) const {
    std::vector<const Value*> out;
    const Value* value = get(key, Value::Kind::array, "[\"...\"]");
    if (value == nullptr) {
        return out;
    }
    for (const Value& item : value->items) {
        if (item.kind == Value::Kind::string) {
            out.push_back(&item);
        } else {
            error(item.span,
                  fmt::format("{} is a list of strings, and this is {}", path(key), name_of(item.kind)));
        }
    }
    return out;
}

std::vector<std::string> Table::ids(std::string_view key, const IdList& known) const {
    std::vector<std::string> out;
    for (const Value* item : strings(key)) {
        if (!check_id(*item, known)) {
            continue;
        }
        const std::string& id = item->text.text;
        if (std::find(out.begin(), out.end(), id) != out.end()) {
            error(item->span, fmt::format("{} {} is named twice", known.what, id));
        } else {
            out.push_back(id);
        }
    }
    return out;
}

std::optional<std::string> Table::id(std::string_view key, const IdList& known) const {
    const Value* value = get(key, Value::Kind::string, fmt::format("\"{}\"", known.ids.front()).c_str());
    return value != nullptr && check_id(*value, known) ? std::optional(value->text.text) : std::nullopt;
}

bool Table::check_id(const Value& value, const IdList& known) const {
    const std::string& id = value.text.text;
    if (known.has(id)) {
        return true;
    }
    if (std::find(known.planned.begin(), known.planned.end(), id) != known.planned.end()) {
        error(value.span, fmt::format("{} {} is not built yet: it can never fire", known.what, id));
    } else {
        error(value.span, fmt::format("unknown {} \"{}\"", known.what, id),
              id_suggestion(id, known.ids, known.range));
    }
    return false;
}

std::optional<Table> Table::table(std::string_view key) const {
    const Value* value = get(key, Value::Kind::table, "{ ... }");
    if (value == nullptr) {
        return std::nullopt;
    }
    const std::string name = name_.empty() ? fmt::format("[{}]", key)
                             : name_.ends_with(']')
                                 ? fmt::format("{}.{}]", name_.substr(0, name_.size() - 1), key)
                                 : fmt::format("{}.{}", name_, key);
    return Table(*value, name, reporter_);
}

}  // namespace stackrig::scenario
