// How many bytes of stack each window of each kind of entry used, at the stops of a run.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "guest/abi/entries.hpp"
#include "vmm/oracle/history.hpp"
#include "vmm/oracle/view.hpp"

namespace stackrig::oracle {

/// Parts of a stay in the kernel that have a bound of their own, and the moment a thread leaves its CPU: what it has on its stack
/// while it sleeps.
enum class Window : std::uint8_t { entry, wait, kernel, loop, exit, switched_out, count };
[[nodiscard]] const char* name_of(Window window);

struct DepthSample {
    abi::Entry entry = abi::Entry::none;
    Window window = Window::entry;
    std::uint64_t max_bytes = 0;  ///< between the top of the stack and the lowest RSP seen at a stop
    std::uint64_t samples = 0;
};

class DepthTracker {
  public:
    /// Takes in the RSP of each CPU that is in the kernel on the stack of a user thread.
    void observe(const View& view, const History& history);
    /// All windows that were seen, in the order of entries and windows.
    [[nodiscard]] std::vector<DepthSample> samples() const;

  private:
    void sample(const View& view, const History& history, ThreadId thread, Window window, std::uint64_t depth);
    static constexpr std::size_t windows = static_cast<std::size_t>(Window::count);
    std::array<std::array<DepthSample, windows>, abi::entry_count> seen_ = {};
};

}  // namespace stackrig::oracle
