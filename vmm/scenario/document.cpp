// toml++ -> Value. The only file that includes toml++.
#define TOML_HEADER_ONLY 1
#include "vmm/scenario/document.hpp"

#include <algorithm>
#include <toml++/toml.h>

namespace stackrig::scenario {
namespace {

constexpr std::size_t longest_file = 1 << 20;  ///< bytes; scenarios have a few kilobytes

Position position(const toml::source_position& p) { return {p.line, p.column}; }

Span span(const toml::source_region& region) {
    const Position at = position(region.begin);
    const bool one_line = region.begin.line == region.end.line && region.end.column > region.begin.column;
    return {at, one_line ? region.end.column - region.begin.column : 1};
}

class Conversion {
  public:
    explicit Conversion(const SourceText& source) : source_(source) {}

    Value value(const toml::node& node) const {
        Value out;
        out.span = span(node.source());
        switch (node.type()) {
            case toml::node_type::table: table(*node.as_table(), out); break;
            case toml::node_type::array: array(*node.as_array(), out); break;
            case toml::node_type::string:
                out.kind = Value::Kind::string;
                out.text = toml_string_piece(source_, out.span.at, node.as_string()->get());
                break;
            case toml::node_type::integer:
                out.kind = Value::Kind::integer;
                out.integer = node.as_integer()->get();
                break;
            case toml::node_type::boolean:
                out.kind = Value::Kind::boolean;
                out.boolean = node.as_boolean()->get();
                break;
            case toml::node_type::floating_point: out.kind = Value::Kind::real; break;
            default: out.kind = Value::Kind::date; break;
        }
        return out;
    }

  private:
    void table(const toml::table& from, Value& out) const {
        out.kind = Value::Kind::table;
        for (const auto& [key, node] : from) {
            out.members.push_back({std::string(key.str()), span(key.source()), value(node)});
        }
        std::stable_sort(out.members.begin(), out.members.end(), [](const Member& a, const Member& b) {
            return std::pair(a.span.at.line, a.span.at.column) < std::pair(b.span.at.line, b.span.at.column);
        });
    }

    void array(const toml::array& from, Value& out) const {
        out.kind = Value::Kind::array;
        for (const toml::node& node : from) {
            out.items.push_back(value(node));
        }
    }

    const SourceText& source_;
};

/// Length of the word at a position, for the caret of a TOML error.
std::uint32_t word_length(const SourceText& source, Position at) {
    const std::string_view rest = source.text().substr(source.offset(at));
    const auto end = rest.find_first_of(" \t\r\n=,[]{}\"'#");
    return static_cast<std::uint32_t>(std::clamp<std::size_t>(std::min(end, rest.size()), 1, 40));
}

}  // namespace

const Member* Value::member(std::string_view key) const {
    const auto found = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
    return found == members.end() ? nullptr : &*found;
}

const char* name_of(Value::Kind kind) {
    switch (kind) {
        case Value::Kind::string: return "a string";
        case Value::Kind::integer: return "an integer";
        case Value::Kind::real: return "a number with a fraction";
        case Value::Kind::boolean: return "a boolean";
        case Value::Kind::date: return "a date or time";
        case Value::Kind::array: return "an array";
        case Value::Kind::table: break;
    }
    return "a table";
}

std::optional<Value> parse_document(const SourceText& source, Reporter& reporter) {
    if (source.text().size() > longest_file) {
        reporter.error({}, "this file is too large to be a scenario: the limit is 1 MiB");
        return std::nullopt;
    }
    try {
        return Conversion(source).value(toml::parse(source.text(), source.file()));
    } catch (const toml::parse_error& e) {
        const Position at = position(e.source().begin);
        reporter.error({at, word_length(source, at)}, "no TOML: " + std::string(e.description()),
                       "the other checks run once the file is TOML");
        return std::nullopt;
    }
}

}  // namespace stackrig::scenario
