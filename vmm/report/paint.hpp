// Colours of a terminal, or none.
#pragma once

#include <string>
#include <string_view>

namespace stackrig::report {

class Paint {
  public:
    /// `on`: the text goes to a terminal that wants colours.
    explicit Paint(bool on = false) : on_(on) {}

    [[nodiscard]] std::string good(std::string_view text) const { return with("32", text); }
    [[nodiscard]] std::string bad(std::string_view text) const { return with("1;31", text); }
    [[nodiscard]] std::string strong(std::string_view text) const { return with("1", text); }
    [[nodiscard]] std::string faint(std::string_view text) const { return with("2", text); }

  private:
    /// ECMA-48 SGR.
    [[nodiscard]] std::string with(std::string_view code, std::string_view text) const {
        return on_ && !text.empty() ? "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m" : std::string(text);
    }
    bool on_;
};

}  // namespace stackrig::report
