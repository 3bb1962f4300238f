// The guest's thread queue, compiled for the host: order, removal from every position, and the tail after it.
#include "guest/kernel/queue.hpp"

#include <gtest/gtest.h>

namespace guest {
namespace {

class QueueTest : public testing::Test {
  protected:
    void SetUp() override {
        for (u32 i = 0; i < 3; ++i) {
            threads[i].id = i + 1;
            enqueue(queue, &threads[i]);
        }
    }
    std::vector<u32> drain() {
        std::vector<u32> ids;
        while (Thread* t = dequeue(queue)) {
            ids.push_back(t->id);
        }
        return ids;
    }
    Thread threads[3] = {};
    Queue queue = {};
};

TEST_F(QueueTest, IsFirstInFirstOut) { EXPECT_EQ(drain(), (std::vector<u32>{1, 2, 3})); }

TEST_F(QueueTest, TakesOutOfTheMiddleAndTheEnds) {
    EXPECT_EQ(dequeue_id(queue, 2), &threads[1]);
    EXPECT_EQ(dequeue_id(queue, 2), nullptr);
    EXPECT_EQ(dequeue_id(queue, 3), &threads[2]);
    EXPECT_EQ(queue.tail, &threads[0]) << "a stale tail would lose the next thread";
    enqueue(queue, &threads[1]);
    EXPECT_EQ(drain(), (std::vector<u32>{1, 2}));
    EXPECT_EQ(queue.tail, nullptr);
}

TEST_F(QueueTest, TakingTheOnlyOneLeavesAnEmptyQueue) {
    drain();
    enqueue(queue, &threads[0]);
    EXPECT_EQ(dequeue_id(queue, 1), &threads[0]);
    EXPECT_EQ(queue.head, nullptr);
    EXPECT_EQ(queue.tail, nullptr);
}

TEST_F(QueueTest, TheMoreImportantComeFirstAndEqualsInTheirOrder) {
    queue = {};
    threads[0].priority = 1;
    threads[2].priority = 5;
    enqueue_by_priority(queue, &threads[0]);
    enqueue_by_priority(queue, &threads[1]);
    enqueue_by_priority(queue, &threads[2]);
    Thread equal = {};
    equal.id = 4;
    equal.priority = 1;
    enqueue_by_priority(queue, &equal);
    EXPECT_EQ(queue.tail, &threads[1]) << "the least important is the last";
    EXPECT_EQ(drain(), (std::vector<u32>{3, 1, 4, 2}));
}

}  // namespace
}  // namespace guest
