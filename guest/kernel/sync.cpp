// A mutex that sleeps, and a queue that waits for an event: its entries lie on the sleepers' stacks, as Linux's do.
#include "guest/kernel/sync.hpp"

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/mark.hpp"
#include "guest/kernel/queue.hpp"
#include "guest/kernel/sched.hpp"

namespace guest {
namespace {

struct Mutex {
    Thread* owner;
    Queue waiters;
};

/// On the stack of the thread that waits; whoever wakes it reads and writes it there.
struct WaitEntry {
    u64 magic;
    Thread* thread;
    WaitEntry* next;
};

struct WaitQueue {
    WaitEntry* head;
    WaitEntry* tail;
};

Mutex mutexes[object_count];
WaitQueue events[object_count];

u64 magic_of(const WaitEntry* entry) { return reinterpret_cast<u64>(entry) ^ 0x5741495445525921; }

/// Said before an entry on another thread's stack is touched.
void touch(const WaitEntry* entry) {
    const u64 at = reinterpret_cast<u64>(entry);
    const u64 slot = (at - abi::stack_area_base) / abi::stack_slot_size;
    if (slot != current()->slot) {
        mark(Mark::remote_access, slot, at, 1);
    }
}

void add(WaitQueue& queue, WaitEntry* entry) {
    if (queue.head == nullptr) {
        queue.head = entry;
    } else {
        touch(queue.tail);
        queue.tail->next = entry;
    }
    queue.tail = entry;
}

}  // namespace

void mutex_lock(u32 which) {
    const IrqSave irqs;
    Mutex& mutex = mutexes[which];
    for (;;) {
        {
            const Locked lock(sched_lock);
            if (mutex.owner == nullptr) {
                mutex.owner = current();
                return;
            }
            block_current(&mutex.waiters, WaitKind::mutex, which);
        }
        sleep();
    }
}

void mutex_unlock(u32 which) {
    const IrqSave irqs;
    Mutex& mutex = mutexes[which];
    if (mutex.owner != current()) {
        warn("mutex_unlock() by a thread that does not own the mutex");
        return;
    }
    const Locked lock(sched_lock);
    mutex.owner = nullptr;
    wake_one_locked(mutex.waiters);
}

[[gnu::noinline]] void event_wait(u32 which) {
    const IrqSave irqs;
    WaitEntry entry{magic_of(&entry), current(), nullptr};
    {
        const Locked lock(sched_lock);
        add(events[which], &entry);
        block_current(nullptr, WaitKind::event, which);
    }
    sleep();
}

void event_wake(u32 which) {
    const Locked lock(sched_lock);
    WaitQueue& queue = events[which];
    for (WaitEntry* entry = queue.head; entry != nullptr;) {
        touch(entry);
        if (entry->magic != magic_of(entry)) {
            warn("a wait entry on another thread's stack is not what its owner wrote");
            break;
        }
        Thread* t = entry->thread;
        entry = entry->next;
        make_runnable(t);
    }
    queue = {};
}

void event_wake_late(u32 which) {
    WaitEntry* entry = nullptr;
    {
        const Locked lock(sched_lock);
        entry = events[which].head;
        if (entry == nullptr) {
            return;
        }
        touch(entry);
        events[which] = {};
        make_runnable(entry->thread);
    }
    touch(entry);
    entry->next = nullptr;
}

}  // namespace guest
