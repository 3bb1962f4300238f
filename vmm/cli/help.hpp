// How the command line explains itself: --help, and what is said of arguments that are wrong.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace stackrig::cli {

/// At most 80 columns.
class Help final : public CLI::Formatter {
  public:
    std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

/// What is wrong, the nearest known name, and where to read on.
[[nodiscard]] std::string usage_failure(const CLI::App* app, const CLI::Error& error);

}  // namespace stackrig::cli
