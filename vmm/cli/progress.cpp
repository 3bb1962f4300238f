// Rate, and time left.
#include "vmm/cli/progress.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unistd.h>

namespace stackrig::cli {
namespace {

constexpr std::chrono::seconds between_lines{10};

}  // namespace

Progress::Progress(std::string unit, bool quiet) : unit_(std::move(unit)), quiet_(quiet), terminal_(::isatty(STDERR_FILENO) != 0) {}

void Progress::at(std::size_t done, std::size_t all, std::uint64_t runs, const std::string& more) {
    const auto now = std::chrono::steady_clock::now();
    if (quiet_ || (!terminal_ && now - last_ < between_lines)) {
        return;
    }
    last_ = now;
    fmt::print(stderr, "{}{} of {} {}{}{}{}", terminal_ ? "\r\033[K" : "", done, all, unit_, more, pace({now, done, runs}, all), terminal_ ? "" : "\n");
}

void Progress::end() const {
    if (!quiet_ && terminal_) {
        fmt::print(stderr, "\r\033[K");
    }
}

/// Since the first report: what came before, the host's start, the walk, a sweep that is resumed, does not come again.
std::string Progress::pace(const Reached& now, std::size_t all) {
    if (!first_) {
        first_ = now;
    }
    if (now.done == first_->done) {
        return "";
    }
    const double seconds = std::max(std::chrono::duration<double>(now.when - first_->when).count(), 0.001);
    return fmt::format(", {:.0f} runs/s, {:.0f} s left", static_cast<double>(now.runs - first_->runs) / seconds,
                       seconds * static_cast<double>(all - now.done) / static_cast<double>(now.done - first_->done));
}

}  // namespace stackrig::cli
