// Watchdog: the ticking thread and its signal.
#include "vmm/kvm/watchdog.hpp"

#include <unistd.h>
#include <csignal>
#include <mutex>

namespace stackrig::kvm {
namespace {

int kick_signal() { return SIGRTMIN; }

// Needed only so that the signal ends KVM_RUN instead of the process.
void on_kick(int) {}

void install_handler() {
    struct sigaction action {};
    action.sa_handler = on_kick;
    action.sa_flags =
        SA_RESTART;  // a late kick must not break some other system call; KVM_RUN returns EINTR anyway
    ::sigaction(kick_signal(), &action, nullptr);
}

std::int32_t this_thread() {
    thread_local const std::int32_t id = ::gettid();
    return id;
}

// The watchdog's own thread takes no signals: those meant for the process belong to its other threads.
class BlockSignals final {
  public:
    BlockSignals() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    BlockSignals(const BlockSignals&) = delete;
    BlockSignals& operator=(const BlockSignals&) = delete;
    ~BlockSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_{};
};

}  // namespace

Watchdog::Watchdog() {
    static std::once_flag once;
    std::call_once(once, install_handler);
    const BlockSignals inherited_by_the_thread;
    thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

Watchdog::~Watchdog() {
    thread_.request_stop();
    thread_.join();
}

void Watchdog::add(Seat& seat) {
    const std::lock_guard lock(mutex_);
    seats_.insert(&seat);
    wake_.notify_one();
}

void Watchdog::remove(Seat& seat) {
    const std::lock_guard lock(mutex_);
    seats_.erase(&seat);
}

void Watchdog::enter(Seat& seat, std::chrono::milliseconds budget) {
    const auto ticks = budget <= tick ? 1
                                      : static_cast<std::uint64_t>((budget + tick).count() - 1) /
                                            static_cast<std::uint64_t>(tick.count());
    seat.thread_.store(this_thread(), std::memory_order_relaxed);
    // One more, because the current tick is already partly over.
    seat.due_.store(now_.load(std::memory_order_relaxed) + ticks + 1, std::memory_order_release);
}

bool Watchdog::expired(const Seat& seat) const {
    return now_.load(std::memory_order_relaxed) >= seat.due_.load(std::memory_order_relaxed);
}

void Watchdog::leave(Seat& seat) { seat.due_.store(0, std::memory_order_relaxed); }

void Watchdog::watch(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        if (seats_.empty()) {
            wake_.wait(lock, stop, [this] { return !seats_.empty(); });
            continue;
        }
        wake_.wait_for(lock, stop, tick, [] { return false; });
        const std::uint64_t now = now_.fetch_add(1, std::memory_order_relaxed) + 1;
        for (Seat* seat : seats_) {
            const std::uint64_t due = seat->due_.load(std::memory_order_acquire);
            if (due == 0 || now < due) {
                continue;
            }
            // A run that ends right now may leave the flag set: the next run sees EINTR before its time and
            // goes on. Kicks repeat every tick, so one that is lost in a completion's re-entry does no harm
            // either.
            std::atomic_ref(seat->immediate_exit_).store(1, std::memory_order_seq_cst);
            ::tgkill(::getpid(), seat->thread_.load(std::memory_order_relaxed), kick_signal());
        }
    }
}

}  // namespace stackrig::kvm
