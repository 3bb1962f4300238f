// One stop as text, at most 72 columns, no colour: CPUs, caches, reserves, and each thread's four stack
// pages.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "vmm/oracle/history.hpp"
#include "vmm/oracle/view.hpp"
#include "vmm/oracle/words.hpp"

namespace stackrig::oracle {

struct PictureStyle {
    /// "enter_from_user_mode+0x2e" for a kernel or user address.
    std::function<std::string(Gva)> symbol;
    /// Threads drawn page by page besides those that run; the others get one line each.
    std::span<const ThreadId> focus;
    /// Draws every thread page by page, idle ones too.
    bool everything = false;
    /// Configured size of each reserve.
    std::uint32_t reserve_pages = 3;
};

/// Says so when the view is not readable (before the kernel has set up its state).
[[nodiscard]] std::string picture(const View& view, const History& history, const PictureStyle& style);

/// "[#RRR]": P0 first; `#` mapped, `R` mapped and borrowed from a reserve, `!` mapped but its frame is
/// elsewhere as well, `.` absent.
[[nodiscard]] std::string strip(const View& view, const History& history, ThreadId t);

}  // namespace stackrig::oracle
