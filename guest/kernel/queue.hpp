// A FIFO of threads through Thread::next. A thread is on at most one queue.
#pragma once

#include "guest/kernel/types.hpp"

namespace guest {

inline void enqueue(Queue& queue, Thread* t) {
    t->next = nullptr;
    if (queue.tail != nullptr) {
        queue.tail->next = t;
    } else {
        queue.head = t;
    }
    queue.tail = t;
}

/// In front of the first that is less important; behind all others.
inline void enqueue_by_priority(Queue& queue, Thread* t) {
    Thread* before = nullptr;
    for (Thread* other = queue.head; other != nullptr && other->priority >= t->priority; other = other->next) {
        before = other;
    }
    if (before == queue.tail) {
        enqueue(queue, t);
        return;
    }
    t->next = before != nullptr ? static_cast<Thread*>(before->next) : static_cast<Thread*>(queue.head);
    (before != nullptr ? before->next : queue.head) = t;
}

inline Thread* dequeue(Queue& queue) {
    Thread* t = queue.head;
    if (t != nullptr) {
        queue.head = t->next;
        if (queue.head == nullptr) {
            queue.tail = nullptr;
        }
        t->next = nullptr;
    }
    return t;
}

/// Takes the thread with this id out; nullptr when it is not there.
inline Thread* dequeue_id(Queue& queue, u32 id) {
    Thread* before = nullptr;
    for (Thread* t = queue.head; t != nullptr; before = t, t = t->next) {
        if (t->id != id) {
            continue;
        }
        (before != nullptr ? before->next : queue.head) = t->next;
        if (queue.tail == t) {
            queue.tail = before;
        }
        t->next = nullptr;
        return t;
    }
    return nullptr;
}

}  // namespace guest
