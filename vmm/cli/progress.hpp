// Progress of long work, on stderr: on a terminal one line that changes, elsewhere a line now and then.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace stackrig::cli {

class Progress {
  public:
    /// `unit`: what is counted, "boundaries". Nothing is printed when `quiet`.
    Progress(std::string unit, bool quiet);
    /// "12 of 58 boundaries", `more`, and from the second time on "185 runs/s, 300 s left".
    void at(std::size_t done, std::size_t all, std::uint64_t runs, const std::string& more = "");
    /// Takes the line off the terminal.
    void end() const;

  private:
    using Time = std::chrono::steady_clock::time_point;
    struct Reached {
        Time when;
        std::size_t done;
        std::uint64_t runs;
    };
    std::string pace(const Reached& now, std::size_t all);

    std::string unit_;
    bool quiet_;
    bool terminal_;
    Time last_ = std::chrono::steady_clock::now();
    std::optional<Reached> first_;
};

}  // namespace stackrig::cli
