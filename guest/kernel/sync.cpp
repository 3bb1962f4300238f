// A mutex that sleeps, and a queue that waits for an event.
#include "guest/kernel/sync.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/sched.hpp"

namespace guest {
namespace {

struct Mutex {
    Thread* owner;
    Queue waiters;
};

Mutex mutexes[object_count];
Queue events[object_count];

}  // namespace

void mutex_lock(u32 which) {
    const IrqSave irqs;
    Mutex& mutex = mutexes[which];
    while (mutex.owner != nullptr) {
        sleep_on(mutex.waiters, WaitKind::mutex, which);
    }
    mutex.owner = current();
}

void mutex_unlock(u32 which) {
    const IrqSave irqs;
    Mutex& mutex = mutexes[which];
    if (mutex.owner != current()) {
        warn("mutex_unlock() by a thread that does not own the mutex");
        return;
    }
    mutex.owner = nullptr;
    wake_one(mutex.waiters);
}

void event_wait(u32 which) {
    const IrqSave irqs;
    sleep_on(events[which], WaitKind::event, which);
}

void event_wake(u32 which) {
    const IrqSave irqs;
    wake_all(events[which]);
}

}  // namespace guest
