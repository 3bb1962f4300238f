// Watchdog: the one thread that ends a KVM_RUN whose budget is used up.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <thread>

namespace stackrig::kvm {

/// Counts ticks and kicks each vCPU that has been inside KVM_RUN past its budget. Entering and leaving costs
/// two relaxed stores and no system call. A budget is counted in ticks that really happened, so a host that
/// stalls as a whole cannot time a guest out. The signal handler is empty: `immediate_exit` is set before the
/// signal is sent, so whichever side of the entry the signal falls on, KVM_RUN returns EINTR (F7).
class Watchdog final {
  public:
    static constexpr std::chrono::milliseconds tick{10};

    /// One vCPU's place. Fields are written by the thread that runs the vCPU, read by the watchdog.
    class Seat final {
      public:
        explicit Seat(std::uint8_t& immediate_exit) : immediate_exit_(immediate_exit) {}

      private:
        friend class Watchdog;
        std::uint8_t& immediate_exit_;
        std::atomic<std::uint64_t> due_{0};  // the tick at which to kick; 0: not running
        std::atomic<std::int32_t> thread_{0};
    };

    Watchdog();
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;
    ~Watchdog();

    void add(Seat& seat);
    /// After this returns the watchdog does not touch the seat.
    void remove(Seat& seat);

    /// The calling thread is about to run the vCPU for at most `budget` (rounded up to whole ticks, at least
    /// one).
    void enter(Seat& seat, std::chrono::milliseconds budget);
    /// Whether the budget given to enter() is used up.
    [[nodiscard]] bool expired(const Seat& seat) const;
    void leave(Seat& seat);

  private:
    void watch(const std::stop_token& stop);

    std::atomic<std::uint64_t> now_{1};
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::set<Seat*> seats_;
    std::jthread thread_;  // last: it uses the others
};

}  // namespace stackrig::kvm
