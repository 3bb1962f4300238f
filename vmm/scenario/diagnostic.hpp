// One problem in a scenario file, for people (text with a caret) and for machines (the struct itself).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/scenario/text.hpp"

namespace stackrig::scenario {

/// A problem and its place. Line and column count from 1, columns and length in Unicode code points; line 0:
/// the file as a whole. All strings are valid UTF-8.
struct Diagnostic {
    std::string file;
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    std::uint32_t length = 0;
    std::string text;         ///< what is wrong
    std::string hint;         ///< what to do, may be empty
    std::string source_line;  ///< the line it stands in
};

using Diagnostics = std::vector<Diagnostic>;

/// `file:line:column: error: text`, the source line, a caret under the place, the hint. Ends with a newline.
[[nodiscard]] std::string render(const Diagnostic& diagnostic);

/// All of them, a blank line between two, and a last line that counts them.
[[nodiscard]] std::string render(const Diagnostics& diagnostics);

/// The same as an Error of kind usage.
[[nodiscard]] Error to_error(const Diagnostics& diagnostics);

/// Collects the problems of one file.
class Reporter {
  public:
    explicit Reporter(const SourceText& source) : source_(source) {}
    void error(Span where, std::string text, std::string hint = {});
    [[nodiscard]] bool clean() const { return found_.empty(); }
    [[nodiscard]] std::size_t count() const { return found_.size(); }
    [[nodiscard]] const SourceText& source() const { return source_; }
    /// In the order of the file, duplicates dropped.
    [[nodiscard]] Diagnostics take();

  private:
    const SourceText& source_;
    Diagnostics found_;
};

}  // namespace stackrig::scenario
