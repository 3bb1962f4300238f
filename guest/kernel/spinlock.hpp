// Spinlocks. Taken with IRQs off, always; a CPU that has to wait says so, because only another CPU can end the wait.
#pragma once

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"

namespace guest {

/// One round of waiting for another CPU.
inline void cpu_relax(abi::Spin what, u64 object) { mark(Mark::relax, this_cpu()->cpu, static_cast<u64>(what), object); }

/// The lock itself. Only the scheduler's is used bare: it is held where a thread goes to sleep.
struct RawSpinLock {
    u32 held;

    void lock() {
        for (;;) {
            u32 before = 1;
            asm volatile("xchgl %0, %1" : "+r"(before), "+m"(held) : : "memory");
            if (before == 0) {
                return;
            }
            cpu_relax(abi::Spin::lock, reinterpret_cast<u64>(this));
        }
    }
    void unlock() { write_once(held, 0u); }
};

/// A lock whose holder must not sleep: preempt_count says so.
struct SpinLock {
    RawSpinLock raw;

    void lock() {
        raw.lock();
        write_once(this_cpu()->preempt_count, this_cpu()->preempt_count + 1);
    }
    void unlock() {
        write_once(this_cpu()->preempt_count, this_cpu()->preempt_count - 1);
        raw.unlock();
    }
};

/// spin_lock_irqsave() as a scope.
template <class Lock>
class Locked {
  public:
    explicit Locked(Lock& lock) : lock_(lock) { lock_.lock(); }
    ~Locked() { lock_.unlock(); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

  private:
    IrqSave irqs_;  // off before the lock is taken, and on only after it is given back
    Lock& lock_;
};

}  // namespace guest
