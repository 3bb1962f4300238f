// Formatting line by line. Strings are never touched inside.
#include "vmm/scenario/format.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "vmm/scenario/document.hpp"

namespace stackrig::scenario {
namespace {

constexpr std::string_view indent = "    ";

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

/// Follows strings, comments and brackets through the text of a value, line by line.
class Scanner {
  public:
    /// Takes in a line; returns where its comment begins, or its length.
    std::size_t line(std::string_view text) {
        std::size_t i = 0;
        while (i < text.size()) {
            if (!quote_.empty()) {
                i = in_string(text, i);
            } else if (text[i] == '#') {
                return i;
            } else if (text[i] == '"' || text[i] == '\'') {
                const std::string triple(3, text[i]);
                quote_ = text.substr(i, 3) == triple ? triple : std::string(1, text[i]);
                i += quote_.size();
            } else {
                depth_ += text[i] == '[' || text[i] == '{' ? 1 : text[i] == ']' || text[i] == '}' ? -1 : 0;
                ++i;
            }
        }
        if (quote_.size() == 1) {
            quote_.clear();  // no TOML: the parser has said so
        }
        return text.size();
    }
    [[nodiscard]] bool in_multiline_string() const { return quote_.size() == 3; }
    [[nodiscard]] bool open() const { return in_multiline_string() || depth_ > 0; }

  private:
    std::size_t in_string(std::string_view text, std::size_t i) {
        if (text[i] == '\\' && quote_.front() == '"') {
            return i + 2;
        }
        if (text.substr(i, quote_.size()) != quote_) {
            return i + 1;
        }
        i += quote_.size();
        // Up to two more quotes may belong to the string (TOML 1.0, "String").
        while (quote_.size() == 3 && i < text.size() && text[i] == quote_.front()) {
            ++i;
        }
        quote_.clear();
        return i;
    }
    std::string quote_;
    int depth_ = 0;
};

/// A key with its value; the first line of the value is what stands beside the `=`.
struct Entry {
    std::string key;
    std::string value;
    std::string comment;
    std::vector<std::string> more;  ///< the following lines of the value, laid out
};

class Formatter {
  public:
    explicit Formatter(std::string_view text) : rest_(text) {}

    std::string run() {
        while (const auto raw = next()) {
            const std::string_view line = trimmed(*raw);
            if (line.empty() || line.front() == '#' || line.front() == '[') {
                flush();
                other(line);
            } else {
                entry(line);
            }
        }
        flush();
        while (out_.ends_with("\n\n")) {
            out_.pop_back();
        }
        return out_;
    }

  private:
    std::optional<std::string_view> next() {
        if (rest_.empty()) {
            return std::nullopt;
        }
        std::string_view line = rest_.substr(0, rest_.find('\n'));
        rest_.remove_prefix(std::min(rest_.size(), line.size() + 1));
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        return line;
    }

    /// A blank line, a comment of its own, a header.
    void other(std::string_view line) {
        if (line.empty()) {
            if (!out_.empty() && !out_.ends_with("\n\n")) {
                out_ += "\n";
            }
            return;
        }
        // A comment right above a header belongs to it.
        if (line.front() == '[' && !out_.empty() && !out_.ends_with("\n\n") && !last_was_comment_) {
            out_ += "\n";
        }
        last_was_comment_ = line.front() == '#';
        out_ += std::string(line) + "\n";
    }

    void entry(std::string_view line) {
        const std::size_t equals = end_of_key(line);
        Entry entry{.key = std::string(trimmed(line.substr(0, equals))), .value = {}, .comment = {}, .more = {}};
        std::string_view value = equals < line.size() ? line.substr(equals + 1) : std::string_view();
        // Blanks before the value are layout; those at its end may be inside of a string.
        value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
        Scanner scanner;
        const std::size_t comment = scanner.line(value);
        entry.value = scanner.in_multiline_string() ? std::string(value) : std::string(trimmed(value.substr(0, comment)));
        entry.comment = trimmed(value.substr(comment));
        while (scanner.open()) {
            const auto raw = next();
            if (!raw) {
                break;
            }
            entry.more.push_back(continuation(*raw, scanner));
        }
        std::erase(entry.more, "\n");
        group_.push_back(std::move(entry));
    }

    /// A line of a value that goes over several: inside of strings as it is, in arrays indented. "\n" stands for none.
    static std::string continuation(std::string_view raw, Scanner& scanner) {
        if (scanner.in_multiline_string()) {
            (void)scanner.line(raw);
            return std::string(raw);
        }
        const std::string_view line = trimmed(raw);
        if (line.empty()) {
            return "\n";
        }
        const bool closes = line.front() == ']' || line.front() == '}';
        (void)scanner.line(line);
        return (closes ? "" : std::string(indent)) + std::string(line);
    }

    static std::size_t end_of_key(std::string_view line) {
        char quote = '\0';
        for (std::size_t i = 0; i < line.size(); ++i) {
            if (quote != '\0') {
                quote = line[i] == quote ? '\0' : quote;
            } else if (line[i] == '"' || line[i] == '\'') {
                quote = line[i];
            } else if (line[i] == '=') {
                return i;
            }
        }
        return line.size();
    }

    /// Writes the keys collected so far, their `=` and their comments aligned.
    void flush() {
        std::size_t key = 0;
        std::size_t value = 0;
        for (const Entry& entry : group_) {
            key = std::max(key, entry.key.size());
            value = std::max(value, entry.comment.empty() ? 0 : entry.value.size());
        }
        for (const Entry& entry : group_) {
            out_ += entry.key + std::string(key - entry.key.size(), ' ') + " = " + entry.value;
            if (!entry.comment.empty()) {
                out_ += std::string(value - entry.value.size() + 2, ' ') + entry.comment;
            }
            out_ += "\n";
            for (const std::string& line : entry.more) {
                out_ += line + "\n";
            }
        }
        last_was_comment_ = last_was_comment_ && group_.empty();
        group_.clear();
    }

    std::string_view rest_;
    std::string out_;
    std::vector<Entry> group_;
    bool last_was_comment_ = false;
};

bool same(const Value& a, const Value& b) {
    const auto member = [](const Member& x, const Member& y) { return x.key == y.key && same(x.value, y.value); };
    return a.kind == b.kind && a.text.text == b.text.text && a.integer == b.integer && a.boolean == b.boolean &&
           std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), same) &&
           std::equal(a.members.begin(), a.members.end(), b.members.begin(), b.members.end(), member);
}

}  // namespace

tl::expected<std::string, Diagnostics> format(std::string_view text, std::string file) {
    const auto parse = [&](std::string content) -> tl::expected<Value, Diagnostics> {
        const SourceText source(file, std::move(content));
        Reporter reporter(source);
        auto document = parse_document(source, reporter);
        if (!document) {
            return tl::make_unexpected(reporter.take());
        }
        return std::move(*document);
    };
    const auto before = parse(std::string(text));
    if (!before) {
        return tl::make_unexpected(before.error());
    }
    std::string formatted = Formatter(text).run();
    const auto after = parse(formatted);
    if (!after || !same(*before, *after)) {
        return tl::make_unexpected(Diagnostics{{file, 0, 0, 0, "it cannot be formatted without changing what it says", "format it by hand", ""}});
    }
    return formatted;
}

}  // namespace stackrig::scenario
